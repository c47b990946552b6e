"""The state of a training run as a value: weights, buffers, optimizer slots, step, mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from winnow.mask import Mask

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class State:
    """Where a run stands: dense names and shapes in memory, whatever the backend.

    ``slots``: optimizer slot → parameter → tensor; empty for a fresh optimizer. ``updates``: how
    often the optimizer has stepped since it was fresh (Adam's t).
    """

    step: int
    weights: Tensors
    buffers: Tensors
    mask: Mask | None = None
    slots: Mapping[str, Tensors] = field(default_factory=dict)
    updates: int = 0


def fresh_state(model: nn.Module, mask: Mask | None = None, step: int = 0) -> State:
    """The state of a network as it stands, masked, with a fresh optimizer."""
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: b.detach().clone() for name, b in model.named_buffers()}
    return masked(State(step, weights, buffers, mask))


def masked(state: State) -> State:
    """The state with removed weights, and their slots, at exactly +0."""
    if state.mask is None:
        return state
    keep = state.mask
    weights = _zeroed(state.weights, keep)
    slots = {slot: _zeroed(tensors, keep) for slot, tensors in state.slots.items()}
    return State(state.step, weights, state.buffers, keep, slots, state.updates)


def _zeroed(tensors: Tensors, keep: Mask) -> Tensors:
    # A product would leave −0 where a negative weight was.
    return {n: torch.where(keep[n], t, 0.0) if n in keep else t for n, t in tensors.items()}


def load_weights(model: nn.Module, state: State) -> None:
    """Copy a state's weights and buffers into a network of the same names and shapes."""
    model.load_state_dict({**state.weights, **state.buffers}, strict=True)
