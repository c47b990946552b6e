"""Spearman's rank correlation with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from winnow.errors import UserError


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ of n pairs; ``low`` to ``high``: its interval, None for n < 4."""

    rho: float
    low: float | None
    high: float | None
    n: int


def spearman(x: Sequence[float], y: Sequence[float], *, level: float = 0.95) -> RankCorrelation:
    """The correlation of ranks, ties at their mean rank, with an interval.

    For the question that Frankle et al. 2019 ("Stabilizing the Lottery Ticket Hypothesis") leave
    open: whether stable subnetworks are accurate ones. The interval is Fisher's z with the variance
    of Bonett and Wright 2000: tanh(artanh ρ ± q √((1 + ρ²/2) / (n − 3))), q the normal quantile. It
    supposes independent pairs: draws of one replicate are not; give one pair for each replicate, or
    one of each setting. With ρ = ±1 it shrinks to a point, which says little for few pairs.

    Raises UserError for unequal lengths, fewer than two pairs, numbers that are not finite, values
    that are all equal (they have no ranks), and a level outside (0, 1).
    """
    n = len(x)
    if n != len(y) or n < 2:
        raise UserError(f"{n} and {len(y)} values: give as many of each, and two at least")
    if not all(map(math.isfinite, [*x, *y])):
        raise UserError("a value is not finite: leave its pair out")
    if not 0 < level < 1:
        raise UserError(f"level {level}: write a number between 0 and 1, e.g. 0.95")
    for values in (x, y):
        if len(set(values)) == 1:
            raise UserError(f"all {n} values are {values[0]}: there are no ranks to correlate")
    rho = _pearson(_ranks(x), _ranks(y))
    if n < 4:
        return RankCorrelation(rho, None, None, n)
    if abs(rho) == 1:
        return RankCorrelation(rho, rho, rho, n)
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    middle = math.atanh(rho)
    return RankCorrelation(rho, math.tanh(middle - half), math.tanh(middle + half), n)


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + 1 + end) / 2
        start = end
    return ranks


def _pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """Of ranks, whose mean is (n + 1) / 2: doubled, they are whole numbers, and sums exact."""
    middle = len(x) + 1
    a, b = ([2 * value - middle for value in values] for values in (x, y))
    product = math.fsum(p * q for p, q in zip(a, b, strict=True))
    squares = math.fsum(p * p for p in a) * math.fsum(q * q for q in b)
    return max(-1.0, min(1.0, product / math.sqrt(squares)))
