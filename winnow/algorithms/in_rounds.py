"""Pruning after training to exact counts: score, prune, repair, score what is left, and so on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from winnow import criteria, rng
from winnow.algorithms.layerwise import walk_layers
from winnow.algorithms.surgeon import operate, repair
from winnow.allocation import Keep
from winnow.criteria.base import Subject
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.patterns.axes import USUAL_AXES, as_units, named_axes
from winnow.patterns.grains import Rows
from winnow.patterns.shares import WeightShare
from winnow.pruning import prune_to
from winnow.scoring import score
from winnow.selection import parameters, uncompiled


def prune_in_rounds(
    model: nn.Module,
    criterion: str,
    keep: Keep,
    mask: Mask,
    *,
    rounds: int = 1,
    least: int = 0,
    rows: bool = False,
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
    A criterion that goes layer by layer (sparsegpt) does so in each round where counts are of
    layers. ``rows``: the outputs of a layer share its count evenly, and each keeps its best.

    Round k draws from the streams (``seed``, "score", k) and (``seed``, "operate", k). ``least``:
    as in ``prune_to``. Other arguments, ``options`` and errors: as in ``wn.score``. The loader is
    read in every round.
    """
    data: dict[str, Any] = {"loader": loader, "loss_fn": loss_fn}
    weights = parameters(model)
    function = criteria.get_criterion(criterion)
    traits = criteria.traits_of(function)
    by_layer = traits.layerwise is not None and traits.surgeon is not None
    for k in range(1, rounds + 1):
        now = _keep(mask, keep, rounds - k + 1, rows)
        draws = rng.torch_generator(seed, "score", k)
        if by_layer and not isinstance(now, int):
            own = {name: weights[name] for name in mask}
            subject = Subject(criterion, uncompiled(model), own, loader, loss_fn, None, draws)
            mask = walk_layers(subject, function, _shares(model, mask, now, rows), options)
            continue
        scores = score(
            model, criterion, params=list(mask), mask=mask, generator=draws, **data, **options
        )
        mask = prune_rows(scores, now, mask) if rows else prune_to(scores, now, mask, least)
        if traits.surgeon is not None:
            draws = rng.torch_generator(seed, "operate", k)
            operate(model, mask, criterion, generator=draws, **data, **options)
        for name, kept in mask.items():
            repair(weights[name], kept, None)
    return mask


def prune_rows(scores: Mapping[str, Tensor], keep: int | Mapping[str, int], mask: Mask) -> Mask:
    """Each output of a layer (the first axis) keeps its best, as many as all others of the layer:
    ``keep`` of it in all. What ``mask`` has removed never returns.
    """
    assert not isinstance(keep, int), "counts are of layers"
    kept = {}
    for name, tensor in scores.items():
        share = WeightShare(Rows(), keep[name] // len(tensor), as_units(mask[name]))
        kept[name] = share.keep(as_units(tensor)).reshape(tensor.shape)
    return Mask(kept)


def _shares(
    model: nn.Module, mask: Mask, keep: Mapping[str, int], rows: bool
) -> dict[str, WeightShare]:
    weights = parameters(model)
    axes = named_axes(uncompiled(model), {name: weights[name] for name in mask})
    shares = {}
    for name, own in mask.items():
        before = as_units(own.to(weights[name].device), axes.get(name, USUAL_AXES))
        grain, count = (Rows(), keep[name] // len(before)) if rows else (None, keep[name])
        shares[name] = WeightShare(grain, count, before)
    return shares


def _keep(mask: Mask, keep: Keep, left: int, rows: bool) -> Keep:
    """What to keep now so that ``left`` rounds of the same rate reach ``keep``."""
    if isinstance(keep, int):
        return _between(mask.kept, keep, left)
    each = {name: len(own) if rows else 1 for name, own in mask.items()}
    counts = {name: int(own.count_nonzero()) for name, own in mask.items()}
    return {
        name: each[name] * _between(counts[name] // each[name], own // each[name], left)
        for name, own in keep.items()
    }


def _between(now: int, goal: int, left: int) -> int:
    return goal if left == 1 or now == 0 else round(now * (goal / now) ** (1 / left))
