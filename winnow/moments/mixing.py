"""Whether a network keeps the examples of a batch apart, tried by putting others beside them.

What an example gives must stay the same, to the bit but for rounding, when its neighbours in the
batch change. Where it does not (a mean over the batch, attention over the wrong axis), single
examples have no gradient of their own.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from winnow.errors import UserError
from winnow.moments.examples import examples_of, size

_TRIED = 16  # examples, at most
_ROUNDING = 64  # units in the last place of the largest number of a row

Inputs = dict[nn.Module, list[Tensor]]  # of layers, call after call


def check_apart(
    model: nn.Module, call: Callable[[Any], Any], x: Any, layers: Sequence[nn.Module]
) -> set[nn.Module] | None:
    """UserError where outputs of an example depend on the others of its batch.

    ``call``: what gives the model's outputs for inputs like ``x``. Gives those of ``layers`` whose
    inputs have a row for each example that depends on others though the outputs do not; None where
    nothing can be told: outputs without a row for each example, or others in every pass.
    """
    x = examples_of(x, slice(_TRIED))
    if size(x) < 2:
        return None
    with torch.no_grad(), repeatable(model) as again, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad")  # checkpoints
        first = _pass(call, x, layers, again)
        if not _has_rows(first[0], size(x)):
            return None
        mixing: set[nn.Module] = set()
        for changed in _neighbours(size(x), x):
            other = _pass(call, _beside(x, changed), layers, again)
            kept = ~changed
            mixing |= {m for m in layers if _differ(first[1].get(m), other[1].get(m), kept)}
            if _differ(first[0], other[0], kept):
                if _differ(first[0], _pass(call, x, layers, again)[0], kept):
                    return None  # it is another function in every pass
                raise _mixed(model, call, x, changed, again)
        return mixing


@contextlib.contextmanager
def repeatable(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Yields what puts torch's random states and the model's buffers back; they are on exit."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    state = torch.get_rng_state()
    on_devices = [(device, torch.cuda.get_rng_state(device)) for device in devices]

    def again() -> None:
        torch.set_rng_state(state)
        for device, its in on_devices:
            torch.cuda.set_rng_state(its, device)
        with torch.no_grad():
            for buffer, value in buffers:
                if buffer.shape == value.shape and not torch.equal(buffer, value):
                    buffer.copy_(value)

    try:
        yield again
    finally:
        again()


def _pass(
    call: Callable[[Any], Any], x: Any, layers: Sequence[nn.Module], again: Callable[[], None]
) -> tuple[list[Tensor], Inputs]:
    """The outputs, and what came into the layers."""
    again()
    seen: Inputs = {}

    def look(layer: nn.Module, args: Any, kwargs: Any) -> None:
        found = [t.clone() for t in _tensors([args, kwargs])]
        seen.setdefault(layer, []).extend(found)

    hooks = [layer.register_forward_pre_hook(look, with_kwargs=True) for layer in layers]
    try:
        return _tensors(call(pytree.tree_map(_copied, x))), seen
    finally:
        for hook in hooks:
            hook.remove()


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value  # a model may write to its inputs


def _tensors(value: Any) -> list[Tensor]:
    return [leaf.detach() for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def _has_rows(outputs: list[Tensor], count: int) -> bool:
    return bool(outputs) and all(t.ndim > 0 and len(t) == count for t in outputs)


def _neighbours(count: int, x: Any) -> Iterator[Tensor]:
    """Which examples change: half of them, then the others. Those of the Thue-Morse sequence, so
    that shifts by any number of places are seen.
    """
    odd = torch.tensor([place.bit_count() % 2 == 1 for place in range(count)])
    device = next(t.device for t in pytree.tree_leaves(x) if isinstance(t, Tensor) and t.ndim)
    yield odd.to(device)
    yield ~odd.to(device)


def _beside(x: Any, changed: Tensor) -> Any:
    """The batch with other examples of it in the places that change."""

    def put(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.ndim:
            return value
        places = torch.arange(len(value), device=changed.device)
        chosen = torch.where(changed, (places + 1) % len(value), places)
        return value[chosen.to(value.device)]

    return pytree.tree_map(put, x)


def _differ(a: list[Tensor] | None, b: list[Tensor] | None, rows: Tensor) -> bool:
    """Whether those rows differ by more than rounding, in tensors with as many rows."""
    if a is None or b is None or len(a) != len(b):
        return a is not b
    return any(_one_differs(one, two, rows) for one, two in zip(a, b, strict=True))


def _one_differs(a: Tensor, b: Tensor, rows: Tensor) -> bool:
    if a.shape != b.shape:
        return True
    if not a.ndim or len(a) != len(rows):
        return False
    a, b = a[rows.to(a.device)], b[rows.to(b.device)]
    if not a.is_floating_point():
        return not torch.equal(a, b)
    largest = a.abs().nan_to_num(0, 0, 0).amax() if a.numel() else a.new_zeros(())
    close = _ROUNDING * torch.finfo(a.dtype).eps
    return not torch.allclose(a, b, rtol=0, atol=close * float(largest), equal_nan=True)


def _mixed(
    model: nn.Module, call: Callable[[Any], Any], x: Any, changed: Tensor, again: Any
) -> UserError:
    where = _first_mixing(model, call, x, changed, again)
    return UserError(
        f"the model mixes the examples of a batch{where}: what an example gives depends on the "
        "others beside it, so that it has no gradient of its own. Put batch norm in evaluation "
        "mode (model.eval()), leave statistics over the batch out of the forward pass, check "
        "batch_first of attention and recurrent layers, or take a criterion of whole batches, "
        "e.g. 'snip'"
    )


def _first_mixing(
    model: nn.Module, call: Callable[[Any], Any], x: Any, changed: Tensor, again: Any
) -> str:
    """in 'name' (Class), of the first module, as they end, with a mixed row."""
    names = {module: name for name, module in model.named_modules() if name}

    def outputs(inputs: Any) -> list[tuple[nn.Module, list[Tensor]]]:
        ended: list[tuple[nn.Module, list[Tensor]]] = []

        def look(module: nn.Module, _: Any, output: Any) -> None:
            ended.append((module, [t.clone() for t in _tensors(output)]))

        hooks = [module.register_forward_hook(look) for module in names]
        try:
            again()
            call(pytree.tree_map(_copied, inputs))
        finally:
            for hook in hooks:
                hook.remove()
        return ended

    for (module, plain), (_, other) in zip(outputs(x), outputs(_beside(x, changed)), strict=False):
        if _differ(plain, other, ~changed):
            return f" in {names[module].removeprefix('model.')!r} ({type(module).__name__})"
    return ""
