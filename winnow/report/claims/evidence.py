"""What the replicates say of one comparison: a value for each, on the scale it is judged on.

The draws of a replicate are averaged first, as in all statistics of the report. Ratios and
crossings are judged by their logarithms: a ratio of 2 is as far from 1 as one of 1/2, and rounds
are equally far apart in log density.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from winnow.experiment.recipe.claims import ClaimPart
from winnow.experiment.recipe.sides import counts_iterations

BoundedBy = Literal["", "above", "below", "both"]


@dataclass(frozen=True)
class SideRuns:
    """One side at one round: replicate → mean over draws, and what is wrong with its runs.

    ``bad``: the share of its runs that diverged or could not start.
    """

    values: Mapping[int, float]
    bad: float
    censored: bool


@dataclass(frozen=True)
class Evidence:
    """One comparison at one round: replicate → value.

    ``log``: values are natural logarithms. ``resolution``: the smallest step that they can show,
    None where unknown. ``density``: where, a fraction; None of dense networks. ``blocked``: why
    nothing can be decided, empty where it can. ``bound``: which way the true values lie where early
    stopping is censored: ``above`` or ``below`` these at most, ``both``: who knows.
    """

    values: Mapping[int, float]
    density: float | None
    log: bool = False
    resolution: float | None = None
    blocked: str = ""
    bound: BoundedBy = ""

    @property
    def n(self) -> int:
        """The number of replicates."""
        return len(self.values)


@dataclass(frozen=True)
class Gap:
    """A comparison without numbers, and why; ``density`` where it would be.

    ``absent``: these results do not have its arm or its line, finished or not.
    """

    reason: str
    density: float | None = None
    absent: bool = False


CENSORED = "censored: runs end before it happens"
"""Why nothing is decided where early stopping, or an accuracy, may come after the last evaluation.
"""

MOST_BAD = 1 / 3
"""With such a share of diverged runs on a side nothing is decided."""


def compared(
    part: ClaimPart,
    sides: Sequence[SideRuns],
    density: float | None,
    steps: Sequence[float | None],
) -> Evidence | Gap:
    """The differences, ratios or values of a part at one round, paired by replicate.

    ``steps``: the resolution of the column of each side, in its own unit. What is known of one only
    is not known of both; a difference shows the larger one.
    """
    shared = set.intersection(*(set(side.values) for side in sides))
    if not shared and any(side.bad for side in sides):
        return Evidence({}, density, blocked=_bad(sides) or "no replicate has every side")
    if not shared:
        return Gap(f"no replicate has {_columns(part)} of every side there", density)
    scale = 100.0 if part.unit == "points" else 1.0
    known = [step for step in steps if step is not None]
    step = max(known) if len(known) == len(sides) else None
    columns = [[scale * side.values[number] for number in sorted(shared)] for side in sides]
    found = Evidence(
        values={},
        density=density,
        resolution=None if step is None else scale * step,
        blocked=_bad(sides) or _censored(part, sides),
        bound=_bound(part, sides),
    )
    if part.kind != "ratio":
        values = [first - sum(rest) for first, *rest in zip(*columns, strict=True)]
        return replace(found, values=dict(zip(sorted(shared), values, strict=True)))
    if any(number <= 0 for column in columns for number in column):
        return replace(found, blocked="a ratio needs numbers above 0")
    logs = [math.log(a / b) for a, b in zip(*columns, strict=True)]
    return replace(
        found,
        values=dict(zip(sorted(shared), logs, strict=True)),
        log=True,
        resolution=None if step is None else _relative(known, columns),
    )


def _relative(steps: Sequence[float], columns: Sequence[Sequence[float]]) -> float:
    """The step of the logarithm of a ratio: of each side relative to its mean, together."""
    pairs = zip(steps, columns, strict=True)
    return sum(step * len(column) / math.fsum(column) for step, column in pairs)


def _columns(part: ClaimPart) -> str:
    return " and ".join(dict.fromkeys(side.of or "" for side in part.sides()))


def crossing(
    density_of: Sequence[float],
    changes: Sequence[Mapping[int, float]],
    sides: Sequence[SideRuns],
    stated: float,
) -> Evidence:
    """Where a difference falls below zero for the last time, replicate by replicate.

    ``density_of``: the rounds, dense to sparse; ``changes``: at each, replicate → difference. The
    crossing is interpolated in log density between the two rounds that it lies between. A replicate
    that is not below zero at its last round, or nowhere above it, has none: its crossing is
    censored, and nothing is decided.
    """
    replicates = sorted({number for change in changes for number in change})
    found = {}
    for number in replicates:
        pairs = zip(density_of, changes, strict=True)
        curve = [(math.log(d), change[number]) for d, change in pairs if number in change]
        at = _last_fall(curve)
        if at is not None:
            found[number] = at
    never = len(replicates) - len(found)
    open_ = f"{never} of {len(replicates)} replicates never cross" if never else ""
    censored = CENSORED if any(side.censored for side in sides) else ""
    blocked = _bad(sides) or censored or open_
    return Evidence(found, stated, log=True, resolution=None, blocked=blocked)


def _last_fall(curve: Sequence[tuple[float, float]]) -> float | None:
    """The log density where a curve (log density, difference), dense to sparse, falls below 0."""
    if not curve or curve[-1][1] >= 0:
        return None
    above = [place for place, (_, change) in enumerate(curve) if change >= 0]
    if not above:
        return None
    (x, before), (after_x, after) = curve[above[-1]], curve[above[-1] + 1]
    return x + (after_x - x) * before / (before - after)


def _bad(sides: Sequence[SideRuns]) -> str:
    worst = max(side.bad for side in sides)
    return f"{100 * worst:.0f} % of the runs of a side diverged" if worst >= MOST_BAD else ""


def _censored(part: ClaimPart, sides: Sequence[SideRuns]) -> str:
    """What runs that end too early forbid; one side's iterations are a bound."""
    columns = [side.of or "" for side in part.sides()]
    censored = [column for column, side in zip(columns, sides, strict=True) if side.censored]
    if not censored:
        return ""
    if all(counts_iterations(column) for column in censored) and len(censored) < 2:
        return ""
    return CENSORED


def _bound(part: ClaimPart, sides: Sequence[SideRuns]) -> BoundedBy:
    """Where the true value is: a censored first side is really larger, a second one lowers it."""
    columns = [side.of or "" for side in part.sides()]
    pairs = zip(columns, sides, strict=True)
    late = [counts_iterations(column) and side.censored for column, side in pairs]
    if not any(late):
        return ""
    if all(late) and len(late) == 2:
        return "both"
    return "above" if late[0] else "below"
