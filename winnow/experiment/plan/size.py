"""How large a plan will be, from the recipe alone: its runs are counted, and none is planned.

A count is what all points would be if none shared a run with another, so it is never too small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from winnow.errors import NeedsConfirmingError, UserError
from winnow.experiment.recipe.compare import Compare, MethodSpec
from winnow.experiment.recipe.network import network
from winnow.experiment.recipe.recipe import Recipe
from winnow.outside import CodeRefusedError
from winnow.selection import expand_rates, prunable

UNASKED_RUNS = 10_000
"""Runs that are planned without a question: the largest shipped recipe has 4,176."""

MOST_ANALYSES = 100_000
"""Analyses of finished runs, likewise: the most that a shipped recipe has are 11,403."""

MOST_WEIGHTS = 500_000_000
"""Weights of a network that is planned without a question: that of VGG-16 for ImageNet has 138
million.
"""

MOST_AT_ALL = 100_000_000_000
"""Weights of a network that is never planned: they take 400 GB, and as much for each moment."""

_PAPER_GRID = 39  # densities of figure 4c of Frankle & Carbin 2019


@dataclass(frozen=True)
class PlanSize:
    """How many runs and analyses at most, and the parameters of the largest network."""

    runs: int
    analyses: int
    weights: int


def check_plan_size(name: str, recipe: Recipe, confirmed: bool) -> None:
    """NeedsConfirmingError for a recipe of more runs, analyses or weights than are planned unasked.

    UserError for a network that no machine can hold, whatever was confirmed.
    """
    size = size_of(recipe)
    if size.weights > MOST_AT_ALL:
        raise UserError(
            f"recipe {name} asks for a network of {size.weights:,} weights, and more than "
            f"{MOST_AT_ALL:,} are never planned: write smaller layers (model.hidden, model.width)"
        )
    large = [
        f"{count:,} {what} (asked from {most:,} on)"
        for count, most, what in (
            (size.runs, UNASKED_RUNS, "runs"),
            (size.analyses, MOST_ANALYSES, "analyses"),
            (size.weights, MOST_WEIGHTS, "weights in one network"),
        )
        if count > most
    ]
    if large and not confirmed:
        raise NeedsConfirmingError(
            f"recipe {name} asks for up to {' and '.join(large)}; nothing is built yet. Check its "
            "replicates, rounds, densities, draws of controls and sizes of layers. If it is meant: "
            "--yes, or confirm=True in Python"
        )


def size_of(recipe: Recipe) -> PlanSize:
    """The size of a recipe's plan, of all lines together."""
    sizes = [_size_of_line(line) for line in recipe.by_line().values()]
    return PlanSize(
        sum(one.runs for one in sizes),
        sum(one.analyses for one in sizes),
        max(one.weights for one in sizes),
    )


def _size_of_line(recipe: Recipe) -> PlanSize:
    weights = _weights(recipe)
    if weights > MOST_WEIGHTS:  # layers of such sizes are not walked
        return PlanSize(recipe.replicates, 0, weights)
    parts = _compared(recipe.compare) if recipe.compare is not None else _pruned(recipe)
    points = recipe.replicates * (1 + sum(one.times * one.points for one in parts))
    return PlanSize(points, _analyses(recipe, points, parts), weights)


def _weights(recipe: Recipe) -> int:
    """Of the network; 0 where it cannot be built, which the plan says in its own words."""
    try:
        return sum(parameter.numel() for parameter in network(recipe).parameters())
    except (CodeRefusedError, NeedsConfirmingError):
        raise
    except UserError:
        return 0


class _Alike(NamedTuple):
    """So many rounds, or densities, of so many points each. ``beside``: points of other parts that
    may stand in the same rounds.
    """

    times: int
    points: int
    beside: int = 0


def _pruned(recipe: Recipe) -> list[_Alike]:
    """Without ``compare``: the points of tickets and their controls, and of those pruned once."""
    asked, rounds = recipe.controls, _rounds(recipe)
    each = 1 + asked.reinit + asked.random + asked.random_reinit
    each += asked.reinit_masked + asked.permuted + asked.at_init + len(asked.noise)
    each += recipe.prune.rewind == "none"
    orders = asked.order + asked.random_order
    reordered = min(rounds, len(asked.order_densities) or rounds)
    once = 0 if asked.one_shot == "none" else _densities(recipe, asked.one_shot)
    both = (1 + asked.one_shot_reinit) if once else 0
    return [
        _Alike(reordered, each + orders, both),
        _Alike(rounds - reordered, each, both),
        _Alike(once, both),
    ]


def _rounds(recipe: Recipe) -> int:
    """How many rounds of pruning there are at most; those above `UNASKED_RUNS` are not counted."""
    if recipe.ticket is not None:
        return 1
    if recipe.prune.is_one_shot:
        return _densities(recipe, recipe.prune.densities)
    return _walked(recipe)


def _densities(recipe: Recipe, densities: str | tuple[float, ...]) -> int:
    if densities == "paper":
        return _PAPER_GRID
    return _walked(recipe) if isinstance(densities, str) else len(densities)


def _walked(recipe: Recipe) -> int:
    """The rounds of a walk, which ends where a round would remove nothing."""
    prune = recipe.prune
    if prune.rounds <= UNASKED_RUNS // max(1, recipe.replicates):
        return prune.rounds
    try:
        model = network(recipe)
        rates = expand_rates(model, prune.rates, prune.rate)
    except UserError:
        return prune.rounds
    sizes = {name: weight.numel() for name, weight in prunable(model).items()}
    if prune.scope == "global":
        return _steps_of_walk(sum(sizes.values()), prune.rate, prune.rounds)
    return max(_steps_of_walk(size, rates[name], prune.rounds) for name, size in sizes.items())


def _steps_of_walk(left: int, rate: float, rounds: int) -> int:
    for step in range(min(rounds, UNASKED_RUNS)):
        removed = round(rate * left)
        if removed == 0:
            return step
        left -= removed
    return rounds


def _compared(compare: Compare) -> list[_Alike]:
    """With ``compare``: the points of each density, and the runs between them."""
    each = sum(_arms(method, compare) for method in compare.methods)
    between = sum(_between(method, compare) for method in compare.methods)
    return [_Alike(len(compare.densities), each), _Alike(between, 1)]


def _arms(method: MethodSpec, compare: Compare) -> int:
    controls = method.controls or compare.controls
    tuned = "fine_tune" in method.options
    return 1 + controls.shuffled + controls.reinit + controls.inverted + tuned


def _between(method: MethodSpec, compare: Compare) -> int:
    """Rounds between densities, of a method with a rate."""
    rate = method.options.get("rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
        return 0  # which the plan refuses, or None
    if rate < 1e-12:
        return UNASKED_RUNS + 1
    return math.ceil(math.log(min(compare.densities)) / math.log1p(-rate))


def _analyses(recipe: Recipe, points: int, parts: Sequence[_Alike]) -> int:
    pairs = sum(one.times * math.comb(one.points + one.beside, 2) for one in parts)
    each = (recipe.replicates * pairs if spec.pairs else points for spec in recipe.analyses)
    return sum(each)
