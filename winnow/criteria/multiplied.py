"""What a layer multiplies each of its weights with, told from a call of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from winnow.criteria.unfolded import unfolded
from winnow.errors import UserError
from winnow.layers import CONVOLUTIONS


@dataclass(frozen=True)
class LayerCall:
    """A call of a layer, and what came out."""

    layer: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any

    def given(self, place: int, name: str | None = None) -> Any:
        """The argument at a place; one that was given by keyword: of this name, or in this order.

        None where there is none.
        """
        if place < len(self.args):
            return self.args[place]
        if name is not None:
            return self.kwargs.get(name)
        return [*self.kwargs.values()][place - len(self.args)]


Multiplied = Callable[[LayerCall], Iterator[Tensor]]
"""Of a call, inputs (groups, inputs of a unit, positions) of a weight, in several parts."""


def multiplied_by(layer: nn.Module, part: str) -> Multiplied | None:
    """How to find the inputs of a weight in a call of its layer; None if they are not seen."""
    if isinstance(layer, CONVOLUTIONS):
        return _of_convolution
    if isinstance(layer, nn.Bilinear):
        return _of_bilinear
    if isinstance(layer, nn.MultiheadAttention):
        return _of_out_proj if part == "out_proj" else _OF_ATTENTION[part]
    if isinstance(layer, nn.RNNCellBase):
        return _of_linear if part == "weight_ih" else _of_cell_state
    if isinstance(layer, nn.RNNBase):
        if part.startswith("weight_ih_l0"):
            return _of_first
        single = layer.num_layers == 1 and not layer.bidirectional
        return _of_states if single and part == "weight_hh_l0" else None
    return _of_linear


def _flat(x: Tensor) -> Tensor:
    """(1, inputs, positions) of (…, inputs)."""
    return _wide(x).reshape(-1, x.shape[-1]).T[None]


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _of_linear(call: LayerCall) -> Iterator[Tensor]:
    yield _flat(call.given(0))


def _of_bilinear(call: LayerCall) -> Iterator[Tensor]:
    first, second = _wide(call.given(0)), _wide(call.given(1))
    yield _flat((first[..., :, None] * second[..., None, :]).flatten(-2))


def _of_convolution(call: LayerCall) -> Iterator[Tensor]:
    positions = 0
    for part in unfolded(_wide(call.given(0)), call.layer):
        positions += part.shape[2]
        yield part
    if positions * call.layer.out_channels != call.output.numel():
        raise UserError(
            f"{type(call.layer).__name__} is called with an output_size: give it output_padding "
            "instead, so that its inputs can be told"
        )


def _of_projections(call: LayerCall) -> Iterator[Tensor]:
    """(3, embed, positions): in_proj_weight is those of query, key and value."""
    flat = [_flat(part) for part in _attended(call)]
    most = max(part.shape[2] for part in flat)  # more keys than queries: zeros count for nothing
    yield torch.cat([nn.functional.pad(part, (0, most - part.shape[2])) for part in flat])


def _attended(call: LayerCall) -> list[Tensor]:
    return [call.given(place, name) for place, name in enumerate(("query", "key", "value"))]


def _projection(place: int) -> Multiplied:
    def found(call: LayerCall) -> Iterator[Tensor]:
        yield _flat(_attended(call)[place])

    return found


_OF_ATTENTION: dict[str, Multiplied] = {
    "in_proj_weight": _of_projections,
    "q_proj_weight": _projection(0),
    "k_proj_weight": _projection(1),
    "v_proj_weight": _projection(2),
}


def _of_out_proj(call: LayerCall) -> Iterator[Tensor]:
    """What attention hands to its out_proj: its own output, with the identity in that place."""
    weight, bias = call.layer.out_proj.weight, call.layer.out_proj.bias
    saved = weight.data, None if bias is None else bias.data
    try:
        weight.data = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        if bias is not None:
            bias.data = torch.zeros_like(bias)
        yield _flat(call.layer.forward(*call.args, **call.kwargs)[0])
    finally:
        weight.data = saved[0]
        if bias is not None:
            bias.data = saved[1]


def _of_cell_state(call: LayerCall) -> Iterator[Tensor]:
    state = call.given(1, "hx")
    if state is not None:  # else zeros
        yield _flat(state[0] if isinstance(state, tuple) else state)


def _of_first(call: LayerCall) -> Iterator[Tensor]:
    x = call.given(0)
    yield _flat(x.data if isinstance(x, PackedSequence) else x)


def _of_states(call: LayerCall) -> Iterator[Tensor]:
    """All outputs but the last, and the first state."""
    states = call.output[0]
    if isinstance(states, PackedSequence):
        raise UserError(
            f"{type(call.layer).__name__} is called with a packed sequence, in which the states "
            "before each step are not told apart: leave its weight_hh out with params=, or pad"
        )
    time = 1 if call.layer.batch_first and states.dim() == 3 else 0
    yield _flat(states.narrow(time, 0, states.shape[time] - 1))
    yield from _of_cell_state(call)
