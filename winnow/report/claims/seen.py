"""What a small scale can say: whether the sign of a claim is seen. It never enters the score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from winnow.report.claims.evidence import Evidence, Gap
from winnow.report.claims.holds import Joined, Leaf, WantedRange


def seen(tree: Leaf | Joined) -> bool:
    """Whether the sign holds in every replicate; of parts, in all, or in any, as they are joined.

    Small networks show smaller effects or larger ones, so of a difference or a ratio only the side
    counts on which the claim wants it: not less than nothing, and more than nothing where the claim
    wants more. A crossing is seen where every replicate crosses. Of what has no side (``same``, a
    value) every replicate must lie in the region.

    A comparison at several densities is one effect: each replicate's mean over them counts, as the
    few replicates of a small scale are too noisy at each. Densities at which nothing can be said
    (censored) are left out, but for no more than half of them.
    """
    if isinstance(tree, Joined) and tree.rounds:
        return seen(_mean([leaf for leaf in tree.parts if isinstance(leaf, Leaf)]))
    if isinstance(tree, Joined):
        join = all if tree.mode == "all" else any
        return join(seen(part) for part in tree.parts)
    evidence = tree.evidence
    if isinstance(evidence, Gap) or evidence.blocked or not evidence.n:
        return False
    return all(_on_its_side(value, tree.region, tree.sided) for value in evidence.values.values())


def _mean(rounds: Sequence[Leaf]) -> Leaf:
    """One comparison of each replicate's mean over the densities that say something.

    Of ratios, whose values are logarithms, that is the geometric mean.
    """
    told = [leaf.evidence for leaf in rounds if isinstance(leaf.evidence, Evidence)]
    told = [evidence for evidence in told if evidence.n and not evidence.blocked]
    if 2 * len(told) < len(rounds):
        return replace(rounds[0], evidence=Gap("most densities say nothing"))
    everywhere = set.intersection(*(set(evidence.values) for evidence in told))
    means = {r: fmean(evidence.values[r] for evidence in told) for r in sorted(everywhere)}
    return replace(rounds[0], evidence=Evidence(means, None, told[0].log))


def _on_its_side(value: float, region: WantedRange, sided: str) -> bool:
    if sided == "crosses":
        return math.isfinite(value)
    if sided == "side" and region.low >= 0:
        return value > 0 if region.low > 0 else value >= 0
    if sided == "side" and region.high <= 0:
        return value < 0 if region.high < 0 else value <= 0
    return region.low <= value <= region.high
