"""Scoring a model as it stands: ``wn.score`` and what it returns."""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from winnow import criteria, rng
from winnow.coverage import Coverage, coverage_of, warn_if_low
from winnow.criteria import CRITERIA
from winnow.criteria.base import Criterion, Forward, Subject
from winnow.distributed import agreed_scores, check_not_sharded
from winnow.errors import UserError, unknown
from winnow.layers import LayerWeight, why_no_mask
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.patterns.axes import named_axes
from winnow.selection import Params, parameters, prunable, uncompiled
from winnow.watching import watch_hooks

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class Scores(Mapping[str, Tensor]):
    """Frozen mapping: parameter name -> float tensor of the parameter's shape, larger = keep.

    ``criterion`` is the name of what computed them, ``scope`` where they compete unless others are
    chosen, ``axes`` where outputs and inputs of each weight are, as far as its layer is known;
    ``coverage``: which share of the model's weights they are of, and what is left out. The tensors
    are shared: do not write to them.
    """

    __slots__ = ("_tensors", "axes", "coverage", "criterion", "scope")
    _tensors: dict[str, Tensor]
    criterion: str
    scope: str
    axes: Mapping[str, LayerWeight]
    coverage: Coverage | None

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        criterion: str,
        scope: str = "global",
        axes: Mapping[str, LayerWeight] | None = None,
        coverage: Coverage | None = None,
    ) -> None:
        object.__setattr__(self, "_tensors", dict(tensors))
        object.__setattr__(self, "criterion", criterion)
        object.__setattr__(self, "scope", scope)
        object.__setattr__(self, "axes", dict(axes or {}))
        object.__setattr__(self, "coverage", coverage)

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"scores are frozen: cannot set {name!r}")

    def __reduce__(self) -> tuple[type[Scores], tuple[object, ...]]:
        return Scores, (self._tensors, self.criterion, self.scope, self.axes, self.coverage)

    def negated(self) -> Scores:
        """The same with the opposite order."""
        opposite = {name: -tensor for name, tensor in self._tensors.items()}
        return Scores(opposite, self.criterion, self.scope, self.axes, self.coverage)

    def __repr__(self) -> str:
        number = sum(tensor.numel() for tensor in self._tensors.values())
        return f"Scores({self.criterion}, {len(self)} tensors, {number} weights)"


def score(
    model: nn.Module,
    criterion: str | Criterion,
    *,
    batch: tuple[Any, Any] | None = None,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    params: Params | None = None,
    mask: Mask | None = None,
    generator: torch.Generator | None = None,
    forward: Forward | None = None,
    **options: Any,
) -> Scores:
    """Score the weights of a model as it stands, in its dtype and its train or eval mode.

    ``criterion``: a name, or a function of a ``criteria.Subject`` that returns name -> scores.
    ``batch`` (x, y) or ``loader`` of such pairs, ``loss_fn(outputs, targets)`` and ``generator``
    may be left out when the criterion does not use them. A batch may be a mapping as those of
    transformers: its keys are the model's arguments, "labels" the targets, and without a loss_fn
    the loss is the model's own; with one it gets the logits. ``forward(model, inputs)``: how the
    model is called where neither will do. ``params``: names, globs, ``re:`` patterns or a filter;
    default the weights of every linear, convolutional, recurrent and attention layer (see
    ``layers.weights_of``). ``mask``: the model is scored with these weights removed (the scores
    cover them all). ``options``: the criterion's.

    Parameters, buffers, gradients, modes and global random states are as before afterwards; the
    position of a given loader or generator is not. Dropout and the like draw from a stream that
    ``generator``'s initial seed names, else from torch's global state. ``torch.no_grad`` around
    the call makes no difference, hooks on parameters are not run. Where a loss is differentiated,
    weights that it does not depend on score 0; if it depends on none, that is an error.

    In a process group (``torch.distributed``) this is a collective: every rank scores its own
    examples and gets the mean of all ranks' scores, so that all prune to one mask. Inside
    ``winnow.distributed.one_rank()`` it is not.

    Warns of LowCoverage where under half of the model's weights compete and ``params`` did not say
    so. Raises UserError for a missing input, an unknown criterion or option, a pattern without
    match, a mask for another network, scores of a wrong name, shape or type, weights on the meta
    device or such that no mask can hold (see ``layers``), and a model whose forward pass writes to
    its parameters.
    """
    function = criteria.get_criterion(criterion) if isinstance(criterion, str) else criterion
    name = criterion if isinstance(criterion, str) else _name_of(criterion)
    check_options(function, name, options)
    if batch is not None and loader is not None:
        raise UserError("got batch= and loader=: pass one of them")
    check_not_sharded(model)
    weights = prunable(model, params)
    _check_real(model, weights)
    covered = coverage_of(model, weights)
    warn_if_low(covered, params, stacklevel=2)
    data = [batch] if batch is not None else loader
    subject = Subject(name, uncompiled(model), weights, data, loss_fn, mask, generator, forward)
    lent = _storages(model)
    copies = function not in CRITERIA.values()  # our own ones overwrite no parameter
    with (
        _gradients(),
        unchanged(model, copies),
        _without_hooks(model),
        _random_states(weights, generator),
    ):
        subject.remove()
        found = _checked(function(subject, **options), weights, name)
        lent |= _storages(model)
        own = {n: s.clone() if _storage(s) in lent else s for n, s in found.items()}
    scope = criteria.traits_of(function).scope
    return Scores(agreed_scores(own), name, scope, named_axes(subject.model, weights), covered)


def _check_real(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """UserError for a model with parameters without a shape, and for weights without values."""
    for name, parameter in parameters(model).items():
        if is_lazy(parameter):
            raise UserError(f"{name} {why_no_mask(parameter)}")
    if empty := [name for name, weight in weights.items() if weight.is_meta]:
        raise UserError(
            f"{empty[0]} is on the meta device, and has no values to score: load the weights "
            "first, or give it some: model.to_empty(device='cpu'), then an initialisation"
        )


@contextlib.contextmanager
def _gradients() -> Iterator[None]:
    """Gradients can be taken inside, wherever `score` is called from."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextlib.contextmanager
def _without_hooks(model: nn.Module) -> Iterator[None]:
    """What waits for gradients of the parameters (``wn.sparsify``, optimizers in the backward pass,
    hooks that scale gradients) sees none of those taken here.
    """
    kinds = ("_backward_hooks", "_post_accumulate_grad_hooks")
    hooks = [getattr(p, kind) for p in dict.fromkeys(model.parameters()) for kind in kinds]
    held = [(some, dict(some)) for some in hooks if some]
    watches = [hook for hook in watch_hooks(uncompiled(model)) if not hook.paused]
    for some, _ in held:
        some.clear()
    for watch in watches:
        watch.paused = True
    try:
        yield
    finally:
        for watch in watches:
            watch.paused = False
        for some, own in held:
            some.update(own)


@contextlib.contextmanager
def unchanged(model: nn.Module, copies: bool = True) -> Iterator[None]:
    """Put the model back on exit: parameters, buffers, gradients, flags and modes.

    Gradients are None inside. Tensors that did not change are not written to, so that graphs
    which hold them stay valid. Without ``copies`` of the parameters, what runs inside may replace
    them (``parameter.data = …``) but not write to them: UserError on exit if it did.
    """
    model = uncompiled(model)
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    states = [_Before(p, copies) for p in dict.fromkeys(model.parameters())]
    states += [_Before(b, True) for b in dict.fromkeys(model.buffers())]
    for state in states:
        state.tensor.grad = None
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for module, own in buffers:
            module._buffers.update(own)
        kept = [state.put_back() for state in states]
    if not all(kept):
        raise UserError(
            "the model writes to its parameters in its forward pass, so that they cannot be put "
            "back: let it replace them, or compute with what it changes under another name"
        )


class _Before:
    """A tensor of a model, and what it was."""

    def __init__(self, tensor: Tensor, copy: bool) -> None:
        self.tensor, self.data, self.version = tensor, tensor.data, tensor._version
        self.value = tensor.detach().clone() if copy else None
        self.grad, self.requires_grad = tensor.grad, tensor.requires_grad

    def put_back(self) -> bool:
        """False if its values were overwritten and no copy of them is there."""
        tensor, replaced, known = self.tensor, self._is_replaced(), True
        if replaced:
            tensor.data = self.data
        if self.value is None:
            known = replaced or tensor._version == self.version
        elif not _same(tensor.detach(), self.value):
            with torch.no_grad():
                tensor.copy_(self.value)
        tensor.requires_grad_(self.requires_grad)
        tensor.grad = self.grad
        return known

    def _is_replaced(self) -> bool:
        here, before = self.tensor, self.data
        if _is_wrapped(here):
            return False
        other = here.shape != before.shape or here.dtype != before.dtype
        return other or here.data_ptr() != before.data_ptr()


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal bits, so that −0.0 and NaN count as what they are."""
    if a.is_floating_point():
        integer = _INTEGERS[a.element_size()]
        return torch.equal(a.view(integer), b.view(integer))
    return torch.equal(a, b)


@contextlib.contextmanager
def _random_states(
    weights: Mapping[str, Tensor], generator: torch.Generator | None
) -> Iterator[None]:
    """Restore the global random states on exit; inside, seed torch's from the generator's seed."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = sorted({w.device.index or 0 for w in weights.values() if w.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            if generator is not None:
                _seed_torch(rng.torch_seed(generator.initial_seed(), "score"), weights)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _seed_torch(seed: int, weights: Mapping[str, Tensor]) -> None:
    """Seed torch where the weights are: for all devices it takes 2 ms, as it describes the stack
    for each kind that is not there.
    """
    if all(weight.device.type == "cpu" for weight in weights.values()):
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def check_options(function: Criterion, name: str, options: Mapping[str, Any]) -> None:
    """Raises UserError for an option that the criterion does not take, or misses."""
    accepted = _options(function, name)
    for parameter in accepted:
        if parameter.default is parameter.empty and not _takes_any(parameter, options):
            raise UserError(
                f"criterion {name!r} misses {parameter.name!r}: criteria are called with what they "
                "score, and with options by name: f(subject, *, option=default)"
            )
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
        return
    valid = [parameter.name for parameter in accepted]
    for option in options:
        if option not in valid:
            listed = f"Its options are {', '.join(valid)}" if valid else "It has no options"
            raise unknown(f"option of criterion {name!r}:", option, valid, listed)


def _options(function: Criterion, name: str) -> list[inspect.Parameter]:
    """The parameters of a criterion but its first, the subject."""
    try:
        first, *others = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # none, or a builtin that has no signature
        raise UserError(f"criterion {name!r} must be a function f(subject, …)") from None
    if first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
        raise UserError(f"criterion {name!r} must be a function f(subject, …): it is called so")
    return others


def _takes_any(parameter: inspect.Parameter, options: Mapping[str, Any]) -> bool:
    star = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return star or parameter.name in options


def _name_of(criterion: Criterion) -> str:
    if not callable(criterion):
        raise UserError(f"a criterion is a name or a function, not a {type(criterion).__name__}")
    return getattr(criterion, "__name__", type(criterion).__name__)


def _checked(
    found: Mapping[str, Tensor], weights: Mapping[str, Tensor], criterion: str
) -> dict[str, Tensor]:
    """Detached, in the order of the weights; UserError unless names, shapes and types fit."""
    if not isinstance(found, Mapping) or found.keys() != weights.keys():
        names = sorted(found) if isinstance(found, Mapping) else type(found).__name__
        raise UserError(
            f"criterion {criterion!r} must return scores for {sorted(weights)}, got {names}"
        )
    for name, weight in weights.items():
        tensor = found[name]
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise UserError(f"criterion {criterion!r}: {name!r} must be a float tensor, got {kind}")
        if tensor.shape != weight.shape:
            raise UserError(
                f"criterion {criterion!r}: scores of {name!r} are {list(tensor.shape)}, "
                f"its weight is {list(weight.shape)}"
            )
    return {name: found[name].detach() for name in weights}


def _storages(model: nn.Module) -> set[int]:
    tensors = [*model.parameters(), *model.buffers()]
    return {_storage(tensor) for tensor in tensors if not _is_wrapped(tensor)}


def _is_wrapped(tensor: Tensor) -> bool:
    """Whether it is sharded or quantised, and has no memory of its own."""
    return bool(is_traceable_wrapper_subclass(tensor))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
