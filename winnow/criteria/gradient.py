"""What the criteria share that differentiate a loss: gradients of the scored weights alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.moments.graph import is_reentrant, leaf_of, no_gradient, nodes


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
    loss: Tensor, weights: Sequence[nn.Parameter], *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """∂loss/∂w for each weight, zeros where the loss does not depend on it.

    Also through checkpoints, reentrant ones but for ``create_graph``. UserError where the loss
    depends on none of them: what was computed without gradients says nothing of the weights.
    """
    slopes = slopes_by(loss, weights, create_graph=create_graph)
    pairs = zip(slopes, weights, strict=True)
    return tuple(torch.zeros_like(w) if slope is None else slope for slope, w in pairs)


def slopes_by(
    loss: Tensor, weights: Sequence[nn.Parameter], *, create_graph: bool = False
) -> list[Tensor | None]:
    """As `gradients_by`, with None for a weight that the loss does not depend on."""
    found: list[Tensor | None] = [None]
    if loss.requires_grad:
        reentrant = any(is_reentrant(node) for node in nodes(loss))
        if reentrant and create_graph:
            raise UserError(
                "the gradient is differentiated here, which does not reach into reentrant "
                "checkpoints: pass use_reentrant=False to torch.utils.checkpoint.checkpoint"
            )
        if reentrant:
            found = _by_backward(loss, weights)
        else:
            chosen = list(weights)
            found = list(
                torch.autograd.grad(loss, chosen, create_graph=create_graph, allow_unused=True)
            )
    if all(slope is None for slope in found):
        raise no_gradient()
    return found


def _by_backward(loss: Tensor, weights: Sequence[nn.Parameter]) -> list[Tensor | None]:
    """By a backward pass into ``grad``, as checkpoints that run their own need; all is put back."""
    leaves = [leaf for node in nodes(loss) if (leaf := leaf_of(node)) is not None]
    tensors = {id(tensor): tensor for tensor in [*leaves, *weights]}.values()
    before = [(tensor, tensor.grad) for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.grad = None
        torch.autograd.backward(loss)
        return [weight.grad for weight in weights]
    finally:
        for tensor, grad in before:
            tensor.grad = grad


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
