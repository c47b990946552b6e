"""Means over replicates, and paired differences with intervals that hold for a whole sweep.

The replicate is the unit. The draws of one replicate (three reinitialisations of one ticket)
share its seeds and are not independent, so they are averaged before any statistic over
replicates. Only minimum and maximum look at single runs, as the bars of Frankle & Carbin 2019 do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from winnow.report.results import Row, is_dense

LEVEL = 0.95
ACCURACY_AT = "accuracy_at_"
VALIDATION_AT = "validation_accuracy_at_"
SAME_DENSITY = 0.01  # relative; a one-shot mask of the same rate differs only by rounding


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval for a mean."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance from low to high."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Summary:
    """``mean`` over ``replicates`` (number → mean of its draws); extremes over single runs."""

    mean: float
    minimum: float
    maximum: float
    replicates: Mapping[int, float]

    @property
    def n(self) -> int:
        """The number of replicates."""
        return len(self.replicates)


@dataclass(frozen=True)
class Point:
    """One metric of one arm at one density."""

    round: int
    density_total: float
    summary: Summary


@dataclass(frozen=True)
class Difference:
    """A paired difference, subject minus reference, at one density of the subject.

    All three means are over the ``n`` replicates that have both sides. ``interval`` is None
    where none exists: one replicate, or no spread at all between the differences.
    """

    density_total: float
    n: int
    subject: float
    reference: float
    mean: float
    interval: Interval | None


def value(row: Row, metric: str) -> float | None:
    """A metric of a run: a field of Row, or a column of its steps. None: not done, not finite."""
    if row.status != "done":
        return None
    if metric.startswith(ACCURACY_AT):
        number = row.accuracy_at.get(int(metric.removeprefix(ACCURACY_AT)))
    elif metric.startswith(VALIDATION_AT):
        number = row.validation_at.get(int(metric.removeprefix(VALIDATION_AT)))
    else:
        number = getattr(row, metric)
    return None if number is None or not math.isfinite(number) else float(number)


def summarize(rows: Iterable[Row], metric: str) -> Summary | None:
    """The summary of a metric over rows of one arm and round; None when no run has it."""
    return summary_of((row.replicate, value(row, metric)) for row in rows)


def summary_of(values: Iterable[tuple[int, float | None]]) -> Summary | None:
    """The summary of values, each with its replicate; None when there is none."""
    draws: defaultdict[int, list[float]] = defaultdict(list)
    for replicate, number in values:
        if number is not None and math.isfinite(number):
            draws[replicate].append(number)
    if not draws:
        return None
    single = [number for own in draws.values() for number in own]
    means = {replicate: _mean(draws[replicate]) for replicate in sorted(draws)}
    return Summary(_mean(means.values()), min(single), max(single), means)


def points(rows: Iterable[Row], arm: str, metric: str) -> tuple[Point, ...]:
    """A metric of one arm, one point for each density, the largest density first.

    The dense runs are the first point of the arm ``ticket`` and of no other.
    """
    rounds: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row.arm == arm and value(row, metric) is not None:
            rounds[row.round].append(row)
    single = []
    for number, members in rounds.items():
        summary = summarize(members, metric)
        assert summary is not None
        single.append(Point(number, _mean(row.density_total for row in members), summary))
    return tuple(sorted(single, key=lambda point: (-point.density_total, point.round)))


def dense(rows: Iterable[Row], metric: str) -> Summary | None:
    """The summary of a metric over the dense runs."""
    return summarize((row for row in rows if is_dense(row)), metric)


def against_dense(rows: Sequence[Row], arm: str, metric: str) -> tuple[Difference, ...]:
    """Arm minus dense at each density of the arm, with simultaneous intervals."""
    reference = dense(rows, metric)
    subjects = _sparse_points(rows, arm, metric)
    return _differences([(point, reference) for point in subjects])


def against_arm(rows: Sequence[Row], arm: str, other: str, metric: str) -> tuple[Difference, ...]:
    """Arm minus another arm at each density that both have, with simultaneous intervals.

    Densities are the same when they differ by at most 1 %, as masks pruned at once and round by
    round differ by rounding.
    """
    references = _sparse_points(rows, other, metric)
    subjects = _sparse_points(rows, arm, metric)
    return _differences([(point, _at(references, point.density_total)) for point in subjects])


def same_density(first: float, second: float) -> bool:
    """Whether two densities differ by at most 1 %."""
    return math.isclose(first, second, rel_tol=SAME_DENSITY)


def t_interval(
    values: Sequence[float], *, comparisons: int = 1, level: float = LEVEL
) -> Interval | None:
    """Student's two-sided interval for the mean of n values, n − 1 degrees of freedom.

    With ``comparisons`` = K intervals, each misses with probability (1 − level) / K, so that all
    K hold together with at least ``level`` (Bonferroni). None for n < 2, and for values that are
    all equal: on a small test set two replicates easily agree to the last image, and an interval
    of width zero would then call any difference certain.
    """
    n = len(values)
    if n < 2 or comparisons < 1:
        return None
    mean, spread = _mean(values), sample_deviation(values)
    if spread == 0:
        return None
    half = t_quantile(n - 1, (1 - level) / comparisons) * spread / math.sqrt(n)
    return Interval(mean - half, mean + half)


def sample_deviation(values: Sequence[float]) -> float:
    """Of n ≥ 2 values as a sample (n − 1); 0 where they are equal but for rounding."""
    mean = _mean(values)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))
    return 0.0 if spread <= 1e-12 * max(map(abs, values)) else spread


def t_quantile(freedom: int, alpha: float) -> float:
    """What Student's t of so many degrees of freedom exceeds, on both sides, with ``alpha``."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - alpha / 2))


def _differences(pairs: Sequence[tuple[Point, Summary | None]]) -> tuple[Difference, ...]:
    """Pair by replicate; the correction counts the densities at which anything is compared."""
    paired = [
        (point.density_total, point.summary.replicates, reference.replicates)
        for point, reference in pairs
        if reference is not None and point.summary.replicates.keys() & reference.replicates.keys()
    ]
    return tuple(_difference(*sides, comparisons=len(paired)) for sides in paired)


def _difference(
    density_total: float,
    subject: Mapping[int, float],
    reference: Mapping[int, float],
    comparisons: int,
) -> Difference:
    both = sorted(subject.keys() & reference.keys())
    changes = [subject[number] - reference[number] for number in both]
    return Difference(
        density_total=density_total,
        n=len(both),
        subject=_mean(subject[number] for number in both),
        reference=_mean(reference[number] for number in both),
        mean=_mean(changes),
        interval=t_interval(changes, comparisons=comparisons),
    )


def _sparse_points(rows: Iterable[Row], arm: str, metric: str) -> tuple[Point, ...]:
    return points((row for row in rows if not is_dense(row)), arm, metric)


def _at(candidates: Sequence[Point], density_total: float) -> Summary | None:
    """The summary at the nearest density that counts as the same one."""
    same = [point for point in candidates if same_density(point.density_total, density_total)]
    if not same:
        return None
    return min(same, key=lambda point: abs(point.density_total - density_total)).summary


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
