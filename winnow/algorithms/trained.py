"""Pruning after training: score, prune, repair, score what is left, and so on; no training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from winnow import criteria, rng
from winnow.algorithms.surgeon import operate
from winnow.allocation import Keep
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.pruning import prune_to
from winnow.scoring import score
from winnow.selection import parameters


def prune_trained(
    model: nn.Module,
    criterion: str,
    keep: Keep,
    mask: Mask,
    *,
    rounds: int = 1,
    least: int = 0,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    seed: int = 0,
    **options: Any,
) -> Mask:
    """Prune a trained model in place, from ``mask`` to ``keep`` weights (of all, or of each layer).

    Round k = 1 … n scores the model as the rounds before left it and keeps n₀·(keep/n₀)^(k/n) of
    the n₀ weights of ``mask``. The surgeon of a criterion that has one (see ``criteria.Traits``)
    then updates what stays; with the others, what goes is set to 0. Hassibi & Stork 1993 score and
    update anew after each single weight; the scores of one round take for granted that all other
    weights make up for the one that goes, which is far from true when nearly all of them go.

    Round k draws from the streams (``seed``, "score", k) and (``seed``, "operate", k). ``least``:
    as in ``prune_to``. Other arguments, ``options`` and errors: as in ``wn.score``. The loader is
    read in every round.
    """
    data: dict[str, Any] = {"loader": loader, "loss_fn": loss_fn}
    weights = parameters(model)
    has_surgeon = criteria.traits_of(criteria.get_criterion(criterion)).surgeon is not None
    for k in range(1, rounds + 1):
        scores = score(
            model, criterion, params=list(mask), mask=mask,
            generator=rng.torch_generator(seed, "score", k), **data, **options,
        )  # fmt: skip
        mask = prune_to(scores, _keep(mask, keep, rounds - k + 1), mask, least)
        if has_surgeon:
            generator = rng.torch_generator(seed, "operate", k)
            operate(model, mask, criterion, generator=generator, **data, **options)
        with torch.no_grad():
            for name, own in mask.items():
                weights[name].masked_fill_(~own.to(weights[name].device), 0)
    return mask


def _keep(mask: Mask, keep: Keep, left: int) -> Keep:
    """What to keep now so that ``left`` rounds of the same rate reach ``keep``."""
    if isinstance(keep, int):
        return _between(mask.kept, keep, left)
    counts = {name: int(own.count_nonzero()) for name, own in mask.items()}
    return {name: _between(counts[name], own, left) for name, own in keep.items()}


def _between(now: int, goal: int, left: int) -> int:
    return goal if left == 1 or now == 0 else round(now * (goal / now) ** (1 / left))
