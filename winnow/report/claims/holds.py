"""Whether a claim holds: intervals against regions, parts together, and the n that would decide.

Confirmed: the interval lies inside the region. Contradicted: it lies outside. Else undecided. Of
several parts that all must hold, each must be confirmed at α, which needs no correction
(intersection-union), and any of k contradicts at α/k; of parts of which one is enough, the other
way round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from winnow.report.claims.evidence import BoundedBy, Evidence, Gap
from winnow.report.claims.intervals import ALPHA, LEAST, MeanEstimate, estimate
from winnow.report.statistics import Interval

Holds = Literal["confirmed", "contradicted", "undecided", "not run"]
MOST = 50
"""Beyond so many replicates the n that would decide is only said to be larger."""

_ROUNDING = 1e-12
_ANSWERS: dict[str, tuple[Holds, Holds]] = {
    "all": ("contradicted", "confirmed"),
    "any": ("confirmed", "contradicted"),
}
"""What one part settles, and what takes every part."""


@dataclass(frozen=True)
class WantedRange:
    """Where a claim wants the true value, ends included, on the scale that it is judged on."""

    low: float
    high: float


@dataclass(frozen=True)
class Leaf:
    """One comparison at one round and where its result has to lie.

    ``sided``: what a small scale can see of it, the side that it is on, that a crossing is there,
    or the region only.
    """

    evidence: Evidence | Gap
    region: WantedRange
    sided: Literal["side", "crosses", "region"] = "region"

    @property
    def estimate(self) -> MeanEstimate | None:
        """Mean and spread over replicates; None without a replicate."""
        if isinstance(self.evidence, Gap) or not self.evidence.n:
            return None
        return estimate(list(self.evidence.values.values()), self.evidence.resolution)


@dataclass(frozen=True)
class Joined:
    """Parts that must ``all`` hold, or of which ``any`` is enough; at least one.

    ``rounds``: the parts are the same comparison at several densities.
    """

    mode: Literal["all", "any"]
    parts: tuple[Leaf | Joined, ...]
    rounds: bool = False


def leaves(tree: Leaf | Joined) -> list[Leaf]:
    """All comparisons, in order."""
    if isinstance(tree, Leaf):
        return [tree]
    return [leaf for part in tree.parts for leaf in leaves(part)]


def without_absent(tree: Leaf | Joined) -> Leaf | Joined | None:
    """What is left without the comparisons of arms and lines that the results do not have."""
    if isinstance(tree, Leaf):
        return None if isinstance(tree.evidence, Gap) and tree.evidence.absent else tree
    left = [part for part in map(without_absent, tree.parts) if part is not None]
    return replace(tree, parts=tuple(left)) if left else None


def decide(
    tree: Leaf | Joined, *, confirm: float = ALPHA, contradict: float = ALPHA, n: int | None = None
) -> Holds:
    """The answer of a leaf or of parts together.

    ``confirm``, ``contradict``: the levels for either. ``n``: as if every leaf with fewer
    replicates had so many, with the mean and spread it has.
    """
    if isinstance(tree, Leaf):
        return _decide_leaf(tree, confirm, contradict, n)
    k = len(tree.parts)
    if tree.mode == "all":
        levels = {"confirm": confirm, "contradict": contradict / k}
    else:
        levels = {"confirm": confirm / k, "contradict": contradict}
    said = [decide(part, n=n, **levels) for part in tree.parts]
    settles, takes_all = _ANSWERS[tree.mode]
    if settles in said:
        return settles
    if all(answer == takes_all for answer in said):
        return takes_all
    return "not run" if "not run" in said else "undecided"


def _decide_leaf(leaf: Leaf, confirm: float, contradict: float, n: int | None) -> Holds:
    if isinstance(leaf.evidence, Gap):
        return "not run"
    found = leaf.estimate
    if leaf.evidence.blocked or found is None:
        return "undecided"
    number = max(found.n, n or 0)
    if number < LEAST:
        return "undecided"
    inner, outer = found.interval(confirm, number), found.interval(contradict, number)
    if inner is None or outer is None:
        return "undecided"
    if _inside(inner, leaf.region, leaf.evidence.bound):
        return "confirmed"
    return "contradicted" if _outside(outer, leaf.region, leaf.evidence.bound) else "undecided"


def _inside(interval: Interval, region: WantedRange, bound: BoundedBy) -> bool:
    """Where the truth is below the values at most, only a region without a low end holds it."""
    open_low, open_high = bound in ("below", "both"), bound in ("above", "both")
    slack = _ROUNDING * max(1.0, abs(interval.low), abs(interval.high))
    above = region.low == -math.inf if open_low else interval.low >= region.low - slack
    below = region.high == math.inf if open_high else interval.high <= region.high + slack
    return above and below


def _outside(interval: Interval, region: WantedRange, bound: BoundedBy) -> bool:
    slack = _ROUNDING * max(1.0, abs(interval.low), abs(interval.high))
    too_low = bound not in ("above", "both") and interval.high < region.low - slack
    too_high = bound not in ("below", "both") and interval.low > region.high + slack
    return too_low or too_high


def needed(tree: Leaf | Joined) -> int | None:
    """The smallest n of replicates that would decide an undecided claim, mean and spread as now.

    None where none up to MOST would, or where what is missing is not replicates.
    """
    counts = [leaf.estimate.n for leaf in leaves(tree) if leaf.estimate]
    for n in range(max(LEAST, min(counts, default=0) + 1), MOST + 1):
        if decide(tree, n=n) in ("confirmed", "contradicted"):
            return n
    return None
