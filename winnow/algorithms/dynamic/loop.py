"""Dynamic sparsity in a training loop of the user's own: ``wn.dynamic``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import check_given
from winnow.algorithms.dynamic.iterations import Closure, Iterations
from winnow.algorithms.dynamic.method import Change, DynamicMethod, Memory, Moment
from winnow.algorithms.dynamic.trained_weights import TrainedWeights
from winnow.algorithms.dynamic.turned import turned_for
from winnow.amounts import option_iterations
from winnow.averaging import Averages
from winnow.coverage import coverage_of, warn_if_low
from winnow.distributed import agreed_seed, check_agreed, ranks
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.grains import parse_pattern
from winnow.selection import Params, parameters, prunable, resolve_names
from winnow.sparsifying import Sparsified
from winnow.state import Tensors
from winnow.wrapped import Optimizers, optimizers_listed


def dynamic(
    model: nn.Module,
    method: str,
    *,
    optimizer: Optimizers,
    density: float | None = None,
    steps: str,
    per_epoch: int | None = None,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
    mask: Mask | None = None,
    averaged: Averages | None = None,
    seed: int = 0,
    **options: Any,
) -> Dynamic:
    """Train a model sparsely in one's own loop, with a mask that changes: RigL and its relatives.

    ``method``: gradual, set, deep-r, dsr, snfs or rigl; ``options`` are those of its class in
    ``winnow.algorithms.dynamic``, the originals' by default. ``density``: kept fraction of the
    weights that compete (at the end, for gradual); exact after every update. ``pattern="2:4"`` (any
    N:M, in place of a density), ``block=(r, c)`` and ``distribution="row"`` (gradual: ``scope``)
    hold after every update of set, rigl and gradual. ``steps``: length of the training, "30000it",
    or "90ep" with ``per_epoch`` iterations (``len(loader)``). ``params``: what competes, as in
    ``wn.score``; ``ignore``: names, patterns and group words of what stays dense (default what the
    original leaves dense; [] for nothing). ``mask``: where to start from, in place of the method's
    first mask.

    ``optimizer``: one, or several that together hold the weights, as in ``wn.sparsify``, as is
    ``averaged``.

    The model is pruned at once. Then call ``.step()`` wherever the loop called
    ``optimizer.step()``, with the gradients in ``.grad``::

        sparse = wn.dynamic(model, "rigl", density=0.1, optimizer=opt, steps="30000it")
        for x, y in loader:
            opt.zero_grad()
            loss_fn(model(x), y).backward()
            sparse.step()

    A trainer that calls ``optimizer.step()`` itself does the same: iterations are counted, and the
    mask is changed, by the optimizer's step hooks. A step that is not made is no iteration: while
    accelerate accumulates gradients, or when a gradient scaler finds them infinite. With several
    optimizers an iteration is one step of each.

    RigL's updates (Algorithm 1) take the place of the optimizer's step: in those iterations the
    dense gradient is read and the mask changes, and the optimizer is called without gradients,
    which moves nothing. All other gradients are masked as they are accumulated, before any
    clipping (not for snfs, which trains densely). Removed weights are exactly 0 after every step.

    In a process group this is a collective, and so are updates: the random numbers of all ranks
    are rank 0's, and masks that come to differ are an error. Under FSDP2 an update gathers what it
    reads, and every rank computes it.

    Warns of LowCoverage where under half of the model's weights compete and ``params`` did not say
    so. Raises UserError for an unknown method or option, a density out of reach, and an optimizer
    that is not this model's, lacks the momentum that snfs needs, or runs no step hooks.
    """
    chosen = make_dynamic(method, _density(method, density, options), **options)
    competing = _competing(model, chosen, params, ignore)
    warn_if_low(coverage_of(model, prunable(model, params)), params, stacklevel=2)
    chosen = turned_for(chosen, model, competing)
    total = option_iterations(method, "steps", steps, per_epoch)
    return Dynamic(
        model, chosen, optimizer, list(competing), total, per_epoch, mask, seed, averaged
    )


class Dynamic:
    """A model in dynamic sparse training: ``mask`` is the mask now, ``made`` counts iterations,
    ``coverage`` says which share of the model's weights is under it.

    A context manager; ``close()`` ends it, and the zeros stay where they are.
    """

    def __init__(
        self,
        model: nn.Module,
        method: DynamicMethod,
        optimizer: Optimizers,
        names: list[str],
        steps: int,
        per_epoch: int | None,
        mask: Mask | None,
        seed: int,
        averaged: Averages | None = None,
    ) -> None:
        named = parameters(model)
        self.method, self.optimizer, self.made = method, optimizer, 0
        self.seed, self._together = agreed_seed(seed), ranks() > 1
        self.timing = method.timing(steps, per_epoch)
        self._optimizers = optimizers_listed(optimizer)
        self._weights = TrainedWeights({name: named[name] for name in names}, self._optimizers)
        if method.dense_slots and not self._weights.have_momentum():
            raise UserError(f"{method.name} grows by momentum: give the optimizer one, e.g. 0.9")
        values = self._weights.values()
        first = method.start(values, self.seed)
        if mask is not None:
            check_given(method, mask, first)
            first = mask
        self.coverage = coverage_of(model, names)
        self.memory = method.memory(values, first, self.seed)
        self._held = Sparsified(model, first, self._optimizers, averaged)
        self._held.dense_slots = method.dense_slots
        self._iterations = Iterations(self._optimizers, self._begin, self._end)
        self._foresee(self.made)

    @property
    def mask(self) -> Mask:
        """The mask now."""
        return self._held.mask

    def step(
        self, optimizer_step: Callable[[], Any] | None = None, *, closure: Closure | None = None
    ) -> Any:
        """One iteration: the optimizers' steps and the update of the mask, as far as they are due.

        ``optimizer_step``: what to call for the step, default ``optimizer.step``; e.g.
        ``lambda: scaler.step(optimizer)``. ``closure``: what the optimizer's step calls for the
        loss and its gradients (LBFGS); the first one's, of several. What the step returns is
        returned. Counted are only steps that the optimizers make.
        """
        if optimizer_step is not None and closure is not None:
            raise UserError(
                "got optimizer_step and closure=: let optimizer_step pass the closure on, e.g. "
                "lambda: optimizer.step(closure)"
            )
        if optimizer_step is not None:
            found = optimizer_step()
        else:
            first, *others = self._optimizers
            found = first.step() if closure is None else first.step(closure)
            for other in others:
                other.step()
        self._iterations.finish()
        return found

    def attach_average(self, averaged: nn.Module) -> None:
        """Hold an average of the model's weights that was made later, as ``averaged=`` does."""
        self._held.attach_average(averaged)

    def _begin(self) -> bool:
        """Gradients are there and no step was made yet: whether an update takes its place."""
        instead = self.method.when == "instead" and self.timing.due(self.made)
        if instead:
            self._update(self.made)
        if len(self._optimizers) > 1:  # if one of them leaves this step out, the next begins early
            self._foresee(self.made + 1)
        return instead

    def _end(self) -> None:
        self.made += 1
        if self.method.when == "after" and self.timing.due(self.made):
            self._update(self.made)
        self._foresee(self.made)

    def close(self) -> None:
        """Remove the hooks."""
        self._iterations.close()
        self._held.close()

    def __enter__(self) -> Dynamic:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def state_dict(self) -> dict[str, Any]:
        """All that the model and the optimizer do not hold: to be saved beside theirs."""
        return {
            "made": self.made,
            "mask": dict(self.mask),
            "scalars": dict(self.memory.scalars),
            "tensors": {kind: dict(values) for kind, values in self.memory.tensors.items()},
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken, after the model and the optimizer were loaded.

        The training then goes on bit-identically.
        """
        self.made = int(saved["made"])
        self.memory = Memory(
            saved["scalars"], {kind: self._placed(t) for kind, t in saved["tensors"].items()}
        )
        self._held.remask(Mask(self._placed(saved["mask"])))
        self._foresee(self.made)

    def _placed(self, tensors: Tensors) -> dict[str, Tensor]:
        """The tensors beside their weights."""
        return {name: t.to(self._weights.named[name].device) for name, t in tensors.items()}

    def _foresee(self, iteration: int) -> None:
        """Decide before its backward pass whether an iteration's gradients stay dense."""
        instead = self.method.when == "instead" and self.timing.due(iteration)
        self._held.dense_gradients = instead or self.method.dense_slots

    @torch.no_grad()
    def _update(self, step: int) -> None:
        change = self.method.update(
            Moment(
                step=step,
                timing=self.timing,
                mask=dict(self.mask),
                memory=self.memory,
                seed=self.seed,
                rate=self._weights.rate(),
                kept=lambda: self._weights.kept(self.mask),
                gradient=lambda: self._weights.gradient(f"{self.method.name} at iteration {step}"),
                momentum=self._weights.momentum,
                perturb=lambda change: self._weights.perturb(self.mask, change),
            )
        )
        if change is not None:
            self._carry_out(change)
        if self._together:
            check_agreed(
                self.mask,
                f" after the update of iteration {step}, so that gradients or weights differ (is "
                "the model wrapped in DistributedDataParallel?)",
            )

    def _carry_out(self, change: Change) -> None:
        grown = change.grown
        if grown is None:
            before = self.mask
            grown = {name: keep & ~before[name] for name, keep in change.mask.items()}
        self._held.dense_gradients = False  # of a gradient that was read, only what is kept is left
        self._held.remask(Mask(change.mask), grown)
        for name, values in (change.values or {}).items():
            self._weights.write(name, grown[name], values)
        if change.memory is not None:
            self.memory = change.memory


def _density(method: str, density: float | None, options: Mapping[str, Any]) -> float:
    """The density, or that of a pattern. UserError for neither."""
    if density is None and options.get("pattern") is None:
        raise UserError(f"{method} needs a density, e.g. density=0.1, or a pattern='2:4'")
    return parse_pattern(options["pattern"]).density if density is None else density


def _competing(
    model: nn.Module,
    method: DynamicMethod,
    params: Params | None,
    ignore: str | Iterable[str] | None,
) -> dict[str, nn.Parameter]:
    """The weights under the mask."""
    weights = prunable(model, params)
    left_out = method.protects if ignore is None else ignore
    ignored = set(resolve_names(model, left_out, params))
    competing = {name: weight for name, weight in weights.items() if name not in ignored}
    if not competing:
        raise UserError(
            f"{', '.join(weights)} would stay dense, and nothing is left to {method.name}: "
            "pass ignore=[]"
        )
    return competing
