"""`wn.deploy`: from a model and its mask to a smaller or faster network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from winnow.deployment.capture import arguments_of, capture
from winnow.deployment.exporting import largest_difference, verified
from winnow.deployment.network import Network
from winnow.deployment.outputs import flat, restored
from winnow.deployment.runtime.module import SparseModule, Ways
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.shrink import Shrinking, checked, shrinking, shrunk
from winnow.deployment.simplify import simplified
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.selection import uncompiled
from winnow.sparsifying import fitting
from winnow.ticket import Ticket

Format = Literal["sparse", "torch", "onnx"]
FORMATS: tuple[Format, ...] = ("sparse", "torch", "onnx")


class PlainModule(nn.Module):
    """A network in torch's own operations, zeros and all, without the class that it comes from."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.graph = network, network.runnable()
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns."""
        return restored(self.network.outputs, self.graph(*self.network.bound(args, kwargs)))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A masked model, and the network that gives the same with what decides nothing left out.

    ``model``: a copy in evaluation whose removed weights are 0. ``captured``: the network before
    anything was left out; ``went``: what was. ``example``: the inputs in order. ``difference``: of
    the outputs of both on it, at most, as a share of the largest output.
    """

    model: nn.Module
    mask: Mask
    network: Network
    captured: Network
    went: Shrinking | None
    difference: float
    provenance: Mapping[str, Any]
    example: tuple[Tensor, ...]


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
    example = tuple(arguments_of(own, example_input).values())
    return Prepared(own, kept, network, captured, went, difference, provenance, example)


def module_of(
    made: Prepared, format: Format = "sparse", *, int8: bool = False, run: Ways = "measured"
) -> SparseModule | PlainModule:
    """The network to call: sparse, or in torch's operations (which ONNX files are made of too).

    Checked on the example; UserError where it gives something else. With ``int8`` it may.
    """
    if format not in FORMATS:
        raise unknown("format", str(format), FORMATS, f"It is one of {', '.join(FORMATS)}")
    if format != "sparse":
        return PlainModule(made.network)
    module = SparseModule(sparse_network(made.network, int8=int8), run=run)
    if not int8:
        verified(made.network, lambda given: _tensors(module, given), made.example, "SparseModule")
    return module


def int8_difference(made: Prepared, module: nn.Module) -> float:
    """The largest difference that one byte a weight makes on the example, in outputs."""
    with torch.no_grad():
        wanted, found = made.network.runnable()(*made.example), _tensors(module, made.example)
    return max(largest_difference(a, b) for a, b in zip(wanted, found, strict=True))


def _tensors(module: nn.Module, given: Sequence[Tensor]) -> list[Tensor]:
    tensors: list[Tensor] = []
    flat(module(*given), tensors)
    return tensors


def _masked(model: nn.Module, mask: Mapping[str, Tensor]) -> Mask:
    """Zero the removed weights."""
    kept = mask if isinstance(mask, Mask) else Mask(mask)
    state = dict(model.state_dict(keep_vars=True))
    fitting(kept, state)
    with torch.no_grad():
        for name, keep in kept.items():
            state[name].masked_fill_(~keep.to(state[name].device), 0)
    return kept
