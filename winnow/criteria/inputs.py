"""What comes into layers: for each scored weight the inputs of its units, as the model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from winnow.criteria.base import Subject
from winnow.criteria.multiplied import LayerCall, Multiplied, multiplied_by
from winnow.errors import UserError
from winnow.layers import weights_of

Add = Callable[[str, Iterator[Tensor]], None]
"""Is told of a use of a weight, by its name, with the inputs (groups, inputs of a unit, positions),
in several parts where they are many.
"""


@contextmanager
def watching(subject: Subject, names: Mapping[str, Any] | list[str], add: Add) -> Iterator[None]:
    """Calls ``add`` for every use of these weights while it is open.

    The matrix of a weight (``patterns.axes.as_units``), split into as many groups of rows, times
    those inputs is what the layer computes before its bias. All positions count, padding too.
    Covered: Linear and transformers' Conv1D, Bilinear, all convolutions, attention (its
    projections, which are groups of ``in_proj_weight``, and ``out_proj``), cells of recurrent
    layers, and of these layers the input weights of the first and the hidden weights of a single
    one. UserError for others, by name, and for parameters of no such layer.
    """
    uses = _uses(subject, list(names))
    with ExitStack() as hooks, torch.no_grad(), _slow_attention():
        for name, calls in uses.items():
            for layer, call in calls:
                hooks.enter_context(_hooked(layer, call, name, add))
        yield


@contextmanager
def _slow_attention() -> Iterator[None]:
    """Without the kernel that runs a whole encoder layer: it calls none of its layers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _hooked(layer: nn.Module, call: Multiplied, name: str, add: Add) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        add(name, call(LayerCall(module, args, kwargs, output)))

    return layer.register_forward_hook(hook, with_kwargs=True)


def _uses(subject: Subject, names: list[str]) -> dict[str, list[tuple[nn.Module, Multiplied]]]:
    """The layers that use each weight, and how its inputs are found in a call of them."""
    wanted = {id(subject.weights[name]): name for name in names}
    found: dict[str, list[tuple[nn.Module, Multiplied]]] = {name: [] for name in names}
    refused: dict[str, str] = {}
    inside = {
        id(layer.out_proj)
        for layer in subject.model.modules()
        if isinstance(layer, nn.MultiheadAttention)
    }
    for layer in subject.model.modules():
        if id(layer) in inside:
            continue
        own: list[tuple[str, Tensor | None]]
        own = [(weight.name, layer._parameters.get(weight.name)) for weight in weights_of(layer)]
        if isinstance(layer, nn.MultiheadAttention):
            own.append(("out_proj", layer.out_proj.weight))
        for part, parameter in own:
            name = wanted.get(id(parameter)) if parameter is not None else None
            if name is None:
                continue
            call = multiplied_by(layer, part)
            if call is None:
                refused[name] = f"what {type(layer).__name__} multiplies with it stays inside"
            else:
                found[name].append((layer, call))
    without = {n: "it is no weight of a layer that is known" for n, c in found.items() if not c}
    for name, reason in {**without, **refused}.items():
        raise UserError(
            f"criterion {subject.criterion!r} looks at the inputs of layers, and those of {name!r} "
            f"are not seen: {reason}. Leave it out with params=, or take another criterion, e.g. "
            "'magnitude'"
        )
    return found
