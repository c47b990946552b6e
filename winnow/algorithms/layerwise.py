"""Layer by layer: each is pruned before the next sees what comes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from winnow import criteria
from winnow.algorithms.surgeon import looking_on, repair
from winnow.criteria.base import Criterion, Subject
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.axes import USUAL_AXES, Axes, as_units
from winnow.patterns.blocks import block_mask
from winnow.patterns.cells import check_reachable
from winnow.patterns.grains import Blocks, Grain
from winnow.patterns.shares import WeightShare
from winnow.patterns.targets import cell_counts, check_cells_least
from winnow.pruning import Goal, keep_of_goal


def walk_layers(
    subject: Subject,
    function: Criterion,
    shares: Mapping[str, WeightShare],
    options: Mapping[str, Any],
) -> Mask:
    """Prune the subject's model in place, layer by layer, and return the mask.

    UserError for a criterion that has no ``layerwise`` among its traits, and for one that forgets a
    weight.
    """
    layerwise = criteria.traits_of(function).layerwise
    if layerwise is None:
        raise UserError(f"{subject.criterion} does not prune layer by layer: leave sequential= out")
    kept: dict[str, Tensor] = {}
    with looking_on(subject.model):
        for one in layerwise(subject, shares, **options):
            repair(subject.weights[one.name], one.keep, one.change)
            kept[one.name] = one.keep
    if missing := [name for name in shares if name not in kept]:
        raise UserError(f"{subject.criterion} has pruned nothing of {missing[:3]}")
    return Mask({name: kept[name] for name in shares})


def shares_of(
    weights: Mapping[str, Tensor],
    goal: Goal,
    grain: Grain | None,
    mask: Mask,
    axes: Axes,
    least: int = 0,
) -> dict[str, WeightShare]:
    """What each weight keeps for itself. UserError for a goal in which layers compete, and one that
    leaves a weight fewer than ``least``.
    """
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    counts: Mapping[str, int | Tensor]
    if grain is None or isinstance(grain, Blocks):
        alive, together = mask.kept_per_layer, 1
        if grain is not None:
            alive = Mask(block_mask(grain, mask, axes)).kept_per_layer
            together = grain.size
        keep = keep_of_goal(shapes, alive, goal, together)
        if isinstance(keep, int):
            raise UserError(
                "scope 'global' lets layers compete, and layer by layer the later ones are not "
                "known yet: take scope 'layer', 'row', 'uniform' or 'erk', or sequential=False"
            )
        counts = keep
    else:
        counts = cell_counts(grain, shapes, mask, goal.density, goal.rates, axes)
        check_reachable(grain, mask, counts, axes)
    shares = {
        name: WeightShare(grain, counts[name], _matrix(mask[name], weights[name], name, axes))
        for name in weights
    }
    kept = {name: share.kept for name, share in shares.items()}
    check_cells_least(mask.kept_per_layer, kept, least)
    return shares


def _matrix(keep: Tensor, weight: Tensor, name: str, axes: Axes) -> Tensor:
    return as_units(keep.to(weight.device), axes.get(name, USUAL_AXES))
