"""What the criteria share that differentiate a loss: gradients of the scored weights alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def differentiate_only(model: nn.Module, weights: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """The weights as a list; they alone require gradients from here on, frozen ones included.

    ``winnow.score`` puts the flags back.
    """
    chosen = list(weights)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for weight in chosen:
        weight.requires_grad_(True)
    return chosen


def gradients_by(
    loss: Tensor, weights: Sequence[Tensor], *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """∂loss/∂w for each weight, zeros where the loss does not depend on it."""
    if not loss.requires_grad:
        return tuple(torch.zeros_like(weight) for weight in weights)
    return torch.autograd.grad(
        loss, list(weights), create_graph=create_graph, materialize_grads=True
    )


def add_to(total: list[Tensor] | None, terms: Iterable[Tensor]) -> list[Tensor]:
    """The sum so far with the terms added in place; float32 at least, as half precision stalls."""
    terms = (term.detach() for term in terms)
    if total is None:
        return [t.clone() if _wide(t) == t.dtype else t.to(_wide(t)) for t in terms]
    for sum_, term in zip(total, terms, strict=True):
        sum_.add_(term)
    return total


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
