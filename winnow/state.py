"""The state of a training run as a value: weights, buffers, optimizer slots, step, mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import is_fake

from winnow.errors import UserError
from winnow.mask import Mask

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class State:
    """Where a run stands: dense names and shapes in memory, whatever the backend.

    ``slots``: optimizer slot → parameter → tensor; empty for a fresh optimizer. ``updates``: how
    often the optimizer has stepped since it was fresh (Adam's t). ``dense_slots``: the slots of
    removed weights live on, for algorithms that train densely. ``scalars`` and ``extras`` (kind →
    parameter → tensor): what an algorithm that drives the run must remember; engines ignore them.
    """

    step: int
    weights: Tensors
    buffers: Tensors
    mask: Mask | None = None
    slots: Mapping[str, Tensors] = field(default_factory=dict)
    updates: int = 0
    dense_slots: bool = False
    scalars: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, Tensors] = field(default_factory=dict)


def fresh_state(model: nn.Module, mask: Mask | None = None, step: int = 0) -> State:
    """The state of a network as it stands, masked, with a fresh optimizer."""
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: b.detach().clone() for name, b in model.named_buffers()}
    return masked(State(step, weights, buffers, mask))


def copied(state: State) -> State:
    """The state in memory of its own."""
    return replace(
        state,
        weights=_clones(state.weights),
        buffers=_clones(state.buffers),
        slots={slot: _clones(tensors) for slot, tensors in state.slots.items()},
        extras={kind: _clones(tensors) for kind, tensors in state.extras.items()},
    )


def masked(state: State) -> State:
    """The state with removed weights at exactly +0, and their slots unless these live on."""
    if state.mask is None:
        return state
    keep = state.mask
    slots = state.slots
    if not state.dense_slots:
        slots = {slot: _zeroed(tensors, keep) for slot, tensors in slots.items()}
    return replace(state, weights=_zeroed(state.weights, keep), slots=slots)


def remasked(
    state: State,
    mask: Mask,
    values: Tensors | None = None,
    grown: Tensors | None = None,
) -> State:
    """The state under another mask: what dynamic sparse training makes of it.

    ``grown``: kept weights that start anew, by name (default: those that were removed before);
    they become ``values`` (1-d, one for each, row-major; default 0), with slots 0 unless
    ``dense_slots``. Dropped weights, and their slots in the same way, are exactly 0.
    """
    started = newly_kept(state.mask, mask) if grown is None else grown
    weights, slots = dict(state.weights), {slot: dict(t) for slot, t in state.slots.items()}
    for name, new in started.items():
        weights[name] = weights[name].masked_fill(new, 0)
        if values is not None and name in values:
            weights[name][new] = values[name].to(weights[name])
        for tensors in [] if state.dense_slots else slots.values():
            if name in tensors:
                tensors[name] = tensors[name].masked_fill(new, 0)
    return masked(replace(state, weights=weights, slots=slots, mask=mask))


def newly_kept(before: Mask | None, after: Mask) -> Tensors:
    """What a mask keeps and the mask before it (None: dense) did not, where there is any."""
    if before is None:
        return {}
    new = {name: after[name] & ~before[name] for name in after if name in before}
    return {name: bits for name, bits in new.items() if bool(bits.any())}


def _clones(tensors: Tensors) -> Tensors:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _zeroed(tensors: Tensors, keep: Mask) -> Tensors:
    # A product would leave −0 where a negative weight was.
    return {n: torch.where(keep[n], t, 0.0) if n in keep else t for n, t in tensors.items()}


def load_weights(model: nn.Module, state: State) -> None:
    """Copy a state's weights and buffers into a network of the same names and shapes."""
    model.load_state_dict({**state.weights, **state.buffers}, strict=True)


def check_writable(tensors: Mapping[str, Tensor]) -> None:
    """UserError for tensors of a model that have no memory of their own to write to."""
    if empty := [name for name, tensor in tensors.items() if tensor.is_meta or is_fake(tensor)]:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        raise UserError(
            f"{', '.join(map(repr, empty[:3]))}{more} of the model are on the meta device and hold "
            "no numbers, so that nothing can be copied into them: give the model memory first, "
            "model.to_empty(device='cpu'), or make it on a device"
        )
    for name, tensor in tensors.items():
        steps = tensor.stride() if tensor.layout == torch.strided else ()
        if any(step == 0 and n > 1 for step, n in zip(steps, tensor.shape, strict=False)):
            raise UserError(
                f"{name!r} of the model is expanded: several of its entries are one number in "
                "memory, so that they cannot be written to. Give it its own: tensor.clone()"
            )
