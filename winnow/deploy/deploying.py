"""`wn.deploy`: from a model and its mask to a smaller or faster network."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from winnow.deploy.capture import capture
from winnow.deploy.loading import write_sparse
from winnow.deploy.network import Network
from winnow.deploy.runtime.module import SparseModule, Ways
from winnow.deploy.runtime.sparse import sparse_network
from winnow.deploy.shrink import Shrinking, checked, shrinking, shrunk
from winnow.deploy.simplify import simplified
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import uncompiled
from winnow.sparsifying import fitting
from winnow.ticket import Ticket


@dataclass(frozen=True, eq=False)
class Prepared:
    """A masked model, and the network that gives the same with what decides nothing left out.

    ``model``: a copy in evaluation whose removed weights are 0. ``difference``: of the outputs of
    both on the example, at most, as a share of the largest output.
    """

    model: nn.Module
    mask: Mask
    network: Network
    went: Shrinking | None
    difference: float
    provenance: Mapping[str, Any]


def prepared(
    model: nn.Module, mask: Mapping[str, Tensor] | Ticket, example_input: Any, shrink: bool = True
) -> Prepared:
    """Mask a copy of a model, capture it, make it smaller, and check it on the example.

    ``mask``: of a model with trained weights, or a ticket, whose trained weights are taken. Raises
    UserError for a mask that does not fit, a ticket without trained weights, a forward pass that
    ``torch.export`` cannot follow, and a network whose outputs differ from the model's.
    """
    own = copy.deepcopy(uncompiled(model)).cpu().eval().requires_grad_(False)
    provenance: Mapping[str, Any] = {}
    if isinstance(mask, Ticket):
        if mask.final is None:
            raise UserError(
                "this ticket has no trained weights: train it first, or deploy a trained model "
                "with its mask: wn.deploy(model, ticket.mask, …)"
            )
        kept, provenance = mask.apply(own, weights="final"), mask.provenance
    else:
        kept = _masked(own, mask)
    captured = simplified(capture(own, example_input))
    network = shrunk(captured) if shrink else captured
    difference = checked(network, own, example_input)
    went = shrinking(captured, network) if shrink else None
    return Prepared(own, kept, network, went, difference, provenance)


def _masked(model: nn.Module, mask: Mapping[str, Tensor]) -> Mask:
    """Zero the removed weights."""
    kept = mask if isinstance(mask, Mask) else Mask(mask)
    state = dict(model.state_dict(keep_vars=True))
    fitting(kept, state)
    with torch.no_grad():
        for name, keep in kept.items():
            state[name].masked_fill_(~keep.to(state[name].device), 0)
    return kept
