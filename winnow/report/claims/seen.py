"""What a small scale can say: whether the sign of a claim is seen. It never enters the score."""

from __future__ import annotations

import math

from winnow.report.claims.evidence import Gap
from winnow.report.claims.holds import Joined, Leaf, WantedRange


def seen(tree: Leaf | Joined) -> bool:
    """Whether the sign holds in every replicate; of parts, in all, or in any, as they are joined.

    Small networks show smaller effects or larger ones, so of a difference or a ratio only the side
    counts on which the claim wants it: not less than nothing, and more than nothing where the claim
    wants more. A crossing is seen where every replicate crosses. Of what has no side (``same``, a
    value) every replicate must lie in the region.
    """
    if isinstance(tree, Joined):
        join = all if tree.mode == "all" else any
        return join(seen(part) for part in tree.parts)
    evidence = tree.evidence
    if isinstance(evidence, Gap) or evidence.blocked or not evidence.n:
        return False
    return all(_on_its_side(value, tree.region, tree.sided) for value in evidence.values.values())


def _on_its_side(value: float, region: WantedRange, sided: str) -> bool:
    if sided == "crosses":
        return math.isfinite(value)
    if sided == "side" and region.low >= 0:
        return value > 0 if region.low > 0 else value >= 0
    if sided == "side" and region.high <= 0:
        return value < 0 if region.high < 0 else value <= 0
    return region.low <= value <= region.high
