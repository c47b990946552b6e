"""Batch norm's running statistics, for criteria that look at examples one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import nn

from winnow.criteria.base import Subject
from winnow.errors import UserError, unknown

NormStatistics = Literal["auto", "running", "data"]


def use_statistics(subject: Subject, statistics: NormStatistics) -> None:
    """Make the model's batch norms ready to be used with running statistics.

    ``running``: as they are. ``data``: estimated anew by one forward pass over the data, the mean
    over batches with equal weights. ``auto``: estimated if a batch norm has never seen a batch, as
    at initialisation. UserError for another word, and for data that can be walked only once.
    """
    if statistics not in get_args(NormStatistics):
        known = ", ".join(get_args(NormStatistics))
        raise unknown("statistics", statistics, get_args(NormStatistics), f"They are {known}")
    norms = list(_norms(subject.model))
    fresh = any(m.num_batches_tracked is None or not m.num_batches_tracked for m in norms)
    if not norms or statistics == "running" or (statistics == "auto" and not fresh):
        return
    if iter(subject.data or ()) is subject.data:
        raise UserError(
            f"criterion {subject.criterion!r} walks the data twice, first for the statistics of "
            "batch norm: pass a list or a loader instead of an iterator, or statistics='running'"
        )
    _estimate(subject, norms)


def _norms(model: nn.Module) -> Iterator[nn.modules.batchnorm._BatchNorm]:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            yield module


def _estimate(subject: Subject, norms: list[nn.modules.batchnorm._BatchNorm]) -> None:
    before = [(norm, norm.momentum, norm.training) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for the plain mean over batches
            norm.training = True
        with torch.no_grad():
            for x, _ in subject.batches():
                subject.outputs(x)
    finally:
        for norm, momentum, training in before:
            norm.momentum, norm.training = momentum, training
