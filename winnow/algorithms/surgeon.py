"""Removing weights as a surgeon does: those that stay make up for those that go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from winnow import criteria
from winnow.criteria.base import Subject
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.scoring import unchanged
from winnow.selection import parameters, prunable, uncompiled
from winnow.sparsifying import fitting


def operate(
    model: nn.Module,
    mask: Mask,
    criterion: str,
    *,
    batch: tuple[Any, Any] | None = None,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    generator: torch.Generator | None = None,
    **options: Any,
) -> None:
    """Remove the weights that ``mask`` does not keep, in place, and update those that it keeps
    and the biases of their layers, as the surgeon among the ``criterion``'s traits says:
    ``criteria.mlprune.surgeon`` has formula, source and options.

    For a trained model in eval mode, with the data and the loss it was trained on, between the
    mask of the criterion's scores and fine-tuning. Raises UserError as the surgeon does, for a
    criterion that has none, and for a mask that does not fit.
    """
    surgeon = criteria.traits_of(criteria.get_criterion(criterion)).surgeon
    if surgeon is None:
        raise UserError(f"{criterion} has no surgeon: it says nothing of the weights that stay")
    if batch is not None and loader is not None:
        raise UserError("got batch= and loader=: pass one of them")
    named = parameters(model)
    fitting(mask, named)
    data = [batch] if batch is not None else loader
    weights = prunable(model, list(mask))
    with unchanged(model):
        subject = Subject(criterion, uncompiled(model), weights, data, loss_fn, None, generator)
        changes = surgeon(subject, mask, **options)
    with torch.no_grad():
        for name, change in changes.items():
            named[name].add_(change)
        for name in mask:
            named[name].masked_fill_(~mask[name].to(named[name].device), 0)
