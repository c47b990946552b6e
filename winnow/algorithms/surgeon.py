"""Removing weights as a surgeon does: those that stay make up for those that go."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from winnow import criteria
from winnow.criteria import CRITERIA
from winnow.criteria.base import Criterion, Forward, Subject
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.scoring import unchanged
from winnow.selection import parameters, prunable, uncompiled
from winnow.sparsifying import fitting


def operate(
    model: nn.Module,
    mask: Mask,
    criterion: str | Criterion,
    *,
    batch: Any = None,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    forward: Forward | None = None,
    generator: torch.Generator | None = None,
    **options: Any,
) -> None:
    """Remove the weights that ``mask`` does not keep, in place, and update those that it keeps
    and the biases of their layers, as the surgeon among the ``criterion``'s traits says:
    "mlprune" (`criteria.mlprune.surgeon`), "sparsegpt" (`criteria.sparsegpt.column_surgeon`) or a
    function of your own with one.

    For a trained model in eval mode, with the data (and the loss, for mlprune) it was trained on,
    between a mask and fine-tuning. Raises UserError as the surgeon does, for a criterion that has
    none, and for a mask that does not fit.
    """
    function = criteria.get_criterion(criterion) if isinstance(criterion, str) else criterion
    name = criterion if isinstance(criterion, str) else criterion_name(criterion)
    surgeon = criteria.traits_of(function).surgeon
    if surgeon is None:
        raise UserError(f"{name} has no surgeon: it says nothing of the weights that stay")
    named = parameters(model)
    fitting(mask, named)
    weights = prunable(model, list(mask))
    data = data_of(batch, loader)
    subject = Subject(name, uncompiled(model), weights, data, loss_fn, None, generator, forward)
    if inspect.isgeneratorfunction(surgeon):
        with looking_on(model):
            for parameter, change in surgeon(subject, mask, **options):
                repair(named[parameter], mask.get(parameter), change)
        return
    with unchanged(model, function not in CRITERIA.values()):
        changes = dict(surgeon(subject, mask, **options))
    for parameter in dict.fromkeys([*changes, *mask]):
        repair(named[parameter], mask.get(parameter), changes.get(parameter))


def repair(weight: Tensor, keep: Tensor | None, change: Tensor | None) -> None:
    """Add the change to a parameter, in place, and set what is not kept to 0."""
    with torch.no_grad():
        if change is not None:
            weight.add_(change)
        if keep is not None:
            weight.masked_fill_(~keep.to(weight.device), 0)


@contextmanager
def looking_on(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, without gradients, while parameters may be written to; modes
    are put back.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def data_of(batch: Any, loader: Iterable[Any] | None) -> Iterable[Any] | None:
    """What a criterion reads. UserError for both."""
    if batch is not None and loader is not None:
        raise UserError("got batch= and loader=: pass one of them")
    return [batch] if batch is not None else loader


def criterion_name(criterion: Criterion) -> str:
    """What messages call a function."""
    return getattr(criterion, "__name__", type(criterion).__name__)
