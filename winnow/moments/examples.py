"""Batches taken apart into examples, and the losses of single ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from winnow.errors import UserError
from winnow.moments.kinds import Loss


def size(x: Any) -> int:
    """The number of examples: the first dimension of every tensor in x. UserError if unclear."""
    sizes = {len(t) for t in pytree.tree_leaves(x) if isinstance(t, Tensor) and t.ndim}
    if len(sizes) != 1 or 0 in sizes:
        raise UserError(
            "the inputs of a batch must be tensors with one row for each example, at least one; "
            f"got {'rows: ' + str(sorted(sizes)) if sizes else type(x).__name__}"
        )
    return sizes.pop()


def examples_of(x: Any, examples: slice) -> Any:
    """Some examples of a batch, or of a model's output: a slice of every tensor."""
    return pytree.tree_map(lambda t: t[examples] if isinstance(t, Tensor) and t.ndim else t, x)


def total_loss(loss_fn: Loss, outputs: Any, y: Any, count: int) -> Tensor:
    """The sum of the examples' losses, from their mean or from one loss for each.

    UserError for any other shape.
    """
    loss = loss_fn(outputs, y)
    if loss.numel() == 1:
        return loss.reshape(()) * count
    if loss.shape == (count,):
        return loss.sum()
    raise UserError(
        f"loss_fn must give the mean over the batch or one loss for each of its {count} examples, "
        f"got shape {list(loss.shape)}"
    )


def check_mean(loss: Tensor, total: Tensor, count: int) -> None:
    """UserError unless ``loss``, summed over examples, is the ``total`` of their single losses."""
    loss, total = loss.detach(), total.detach()
    close = 1e-3 if loss.dtype in (torch.float32, torch.float64) else 3e-2
    if not torch.allclose(loss, total, rtol=close, atol=1e-6, equal_nan=True):
        raise UserError(
            f"loss_fn gives {float(loss) / count:.6g} for {count} examples whose mean loss is "
            f"{float(total) / count:.6g} one by one: it must be a plain mean "
            "(reduction='mean', no class weights) or one loss for each (reduction='none')"
        )
