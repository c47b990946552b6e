"""How the tensors of a step lie in memory, and how they come from a state and go back to one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from winnow.engine.base import Job
from winnow.engine.whole_step import StepTensors, slot_names
from winnow.mask import Mask
from winnow.state import State


def lay_out(model: nn.Module, layout: torch.memory_format) -> None:
    """Give the weights of convolutions a layout in memory."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


@torch.no_grad()
def best_layout(model: nn.Module, shape: Sequence[int]) -> torch.memory_format:
    """Channels-last, which convolutions run faster in, unless the module cannot.

    A module may depend on how its activations lie, e.g. by ``x.view(len(x), -1)``.
    """
    if not any(parameter.ndim == 4 for parameter in model.parameters()):
        return torch.contiguous_format
    trial = copy.deepcopy(model).eval()
    lay_out(trial, torch.channels_last)
    x = torch.zeros((2, *shape), device=next(model.parameters()).device)
    try:
        trial(x.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last


def step_tensors(model: nn.Module, job: Job, state: State) -> StepTensors:
    """The model's own weights and buffers, with slots and masks in the same memory layout."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    slots = {
        slot: {
            name: torch.zeros_like(w).copy_(state.slots[slot][name])
            if slot in state.slots
            else torch.zeros_like(w)
            for name, w in weights.items()
        }
        for slot in slot_names(job.optimizer)
    }
    keep = {
        name: torch.zeros_like(weights[name]).copy_(mask)
        for name, mask in (state.mask or {}).items()
        if not bool(mask.all())
    }
    return StepTensors(weights, dict(model.named_buffers()), slots, keep)


def state_on_host(t: StepTensors, step: int, updates: int, mask: Mask | None) -> State:
    """A copy of the tensors, as a state on the host."""
    slots = {slot: copies_on_host(tensors) for slot, tensors in t.slots.items() if updates}
    return State(step, copies_on_host(t.weights), copies_on_host(t.buffers), mask, slots, updates)


def copies_on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the host, contiguous whatever their layout was."""
    return {
        name: t.cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()
    }
