"""Calls: is one method better or worse than another, over a sweep of densities, and with which n.

The replicate is the unit; accuracies are paired, as replicates of one number share their seeds.
Against one reference K + 1 questions are asked: the mean over the K densities, and each density.
They share an error of 5 % in fixed order (the fallback procedure of Wiens 2003, "A fixed sequence
Bonferroni procedure for testing multiple endpoints", with equal parts): the mean is decided with
half of it; the densities, each with an equal share (Bonferroni), have the other half, and what the
mean had too where it is decided. So with a method that is as good as the reference, the chance
that anything at all is called better or worse is at most 5 %. The mean comes first because it is
the sharpest question: noise of single densities averages out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from winnow.report.statistics import Interval, sample_deviation, t_interval, t_quantile

ERROR = 0.05
"""The chance of any wrong call against one reference."""

MOST_REPLICATES = 10_000
"""More replicates than these are not named."""

Answered = Literal["better", "worse", "open"]
Sweep = Mapping[int, Sequence[float]]
"""Replicate → a method's accuracy at each density, dense to sparse."""


@dataclass(frozen=True)
class MethodCall:
    """Subject minus reference, over ``n`` replicates: means, interval, and what it is called.

    ``alpha``: with which probability the interval misses. ``interval`` is None for one replicate
    and without spread; the call is open then. ``decides``: the least number of replicates whose
    interval would leave out zero, were mean and spread to stay; None if over
    `MOST_REPLICATES` or unknown.
    """

    n: int
    subject: float
    reference: float
    mean: float
    alpha: float
    interval: Interval | None
    called: Answered
    decides: int | None


@dataclass(frozen=True)
class Calls:
    """The call on the mean over densities, and that at each density."""

    overall: MethodCall
    at: tuple[MethodCall, ...]


def calls(subject: Sweep, reference: Sweep) -> Calls | None:
    """The calls of two methods over the replicates that both have; None without any."""
    both = sorted(subject.keys() & reference.keys())
    if not both:
        return None
    overall = overall_call(subject, reference, both)
    alpha = density_alpha(overall, len(subject[both[0]]))
    return Calls(overall, density_calls(subject, reference, both, alpha))


def overall_call(subject: Sweep, reference: Sweep, both: Sequence[int]) -> MethodCall:
    """The call on the mean over densities."""
    means = [(_mean(subject[number]), _mean(reference[number])) for number in both]
    return one_call(means, ERROR / 2)


def density_alpha(overall: MethodCall, densities: int) -> float:
    """What each density may err with, once the mean over them is called or not."""
    return (ERROR / 2 if overall.called == "open" else ERROR) / densities


def density_calls(
    subject: Sweep, reference: Sweep, both: Sequence[int], alpha: float
) -> tuple[MethodCall, ...]:
    """The call at each density, each with an error of ``alpha``."""
    return tuple(
        one_call([(subject[r][k], reference[r][k]) for r in both], alpha)
        for k in range(len(subject[both[0]]))
    )


def one_call(pairs: Sequence[tuple[float, float]], alpha: float) -> MethodCall:
    """The call on pairs (subject, reference), one for each replicate, at least one."""
    changes = [one - other for one, other in pairs]
    interval = t_interval(changes, level=1 - alpha)
    return MethodCall(
        n=len(pairs),
        subject=_mean([one for one, _ in pairs]),
        reference=_mean([other for _, other in pairs]),
        mean=_mean(changes),
        alpha=alpha,
        interval=interval,
        called=_called(interval),
        decides=deciding_n(changes, alpha),
    )


def deciding_n(changes: Sequence[float], alpha: float) -> int | None:
    """The least n at which Student's interval of this mean and spread leaves out zero.

    None for a single value, a mean of zero or no spread, and where it would be more than
    `MOST_REPLICATES`.
    """
    if len(changes) < 2:
        return None
    mean, spread = abs(_mean(changes)), sample_deviation(changes)
    if mean == 0 or spread == 0 or not _decides(mean, spread, MOST_REPLICATES, alpha):
        return None
    low, high = 1, MOST_REPLICATES  # `low` does not decide, `high` does
    while high - low > 1:
        middle = (low + high) // 2
        if _decides(mean, spread, middle, alpha):
            high = middle
        else:
            low = middle
    return high


def _decides(mean: float, spread: float, n: int, alpha: float) -> bool:
    return n > 1 and t_quantile(n - 1, alpha) * spread / math.sqrt(n) < mean


def _called(interval: Interval | None) -> Answered:
    if interval is None or interval.low <= 0 <= interval.high:
        return "open"
    return "better" if interval.low > 0 else "worse"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
