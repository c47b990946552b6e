"""Which rounds a claim is about: the nearest in log density, at most one round away."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from winnow.experiment.recipe.sides import Where
from winnow.report.claims.settings import line_setting
from winnow.report.results import Results
from winnow.report.samples import Sample

Grid = Mapping[int, float]
"""Round → density, a fraction; the dense round is not in it."""

_ROUNDING = 1e-9
_USUAL_RATE = 0.2


def grid(samples: Iterable[Sample], of: str) -> Grid:
    """The densities of an arm's rounds, means over its runs. ``of``: ``total`` or ``prunable``."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for one in samples:
        density = one.density_total if of == "total" else one.density
        if one.round > 0 and math.isfinite(density) and density > 0:
            found[one.round].append(density)
    return {number: math.fsum(all_) / len(all_) for number, all_ in sorted(found.items())}


def one_round(results: Results, line: str = "") -> float:
    """A round of a line in log density: −log(1 − rate)."""
    return -math.log1p(-float(line_setting(results, line, "prune.rate") or _USUAL_RATE))


def nearest_round(rounds: Grid, density: float, width: float) -> int | None:
    """The round nearest to a density, a fraction; None where it is more than one round away.

    A round is ``width`` of the recipe, or the distance to the next one of the grid on that side
    where that is less, as layers with a lower rate make rounds shorter.
    """
    if not rounds:
        return None
    place = min(rounds, key=lambda number: abs(math.log(rounds[number] / density)))
    away = abs(math.log(rounds[place] / density))
    return place if away <= min(width, _spacing(rounds, place, width)) + _ROUNDING else None


def chosen_rounds(rounds: Grid, where: Where | None, width: float) -> list[int] | str:
    """The rounds of a claim, dense to sparse, or why there are none.

    ``down_to`` begins at the first sparse round. Raises ValueError without a density in ``where``.
    """
    if where is None or not where.names_density:
        raise ValueError("no density is named")
    ends = _ends(where)
    places = [nearest_round(rounds, percent / 100, width) for percent in ends]
    for percent, place in zip(ends, places, strict=True):
        if place is None:
            return f"no finished round is within one round of {percent:g} %{_there(rounds)}"
    low = rounds[places[-1] or 0]
    high = max(rounds.values()) if where.down_to is not None else rounds[places[0] or 0]
    inside = [number for number, density in rounds.items() if low <= density <= high]
    return sorted(inside, key=lambda number: -rounds[number])


def _ends(where: Where) -> tuple[float, ...]:
    if where.between is not None:
        return where.between
    return tuple(one for one in (where.down_to, where.density) if one is not None)


def _there(rounds: Grid) -> str:
    if not rounds:
        return ""
    return f" (there are {100 * max(rounds.values()):.3g} to {100 * min(rounds.values()):.3g} %)"


def _spacing(rounds: Grid, place: int, width: float) -> float:
    """The larger distance from a round to a neighbour in log density; ``width`` without one."""
    logs = sorted(math.log(density) for density in set(rounds.values()))
    own = math.log(rounds[place])
    steps = [after - before for before, after in pairwise(logs) if own in (before, after)]
    return max(steps, default=width)
