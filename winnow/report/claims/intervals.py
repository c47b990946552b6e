"""Student's interval from a mean and a spread, so that it can be asked of other n as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from winnow.report.statistics import Interval, sample_deviation, t_quantile

ALPHA = 0.05
LEAST = 3
"""With fewer replicates nothing is decided."""


@dataclass(frozen=True)
class MeanEstimate:
    """The mean of ``n`` replicates and their standard deviation, None of a single one.

    ``resolution``: the smallest step that the values can show, None where unknown.
    """

    n: int
    mean: float
    spread: float | None
    resolution: float | None = None

    def interval(self, alpha: float = ALPHA, n: int | None = None) -> Interval | None:
        """The two-sided interval that misses with probability ``alpha``.

        ``n``: as if there were so many replicates, of the same mean and spread. Where all
        replicates agree exactly, Student's interval has no width, which would call anything
        certain: it is mean ± one step of the column then, as a spread below one step cannot show.
        None for one replicate, and for equal ones of a column without a known step.
        """
        number = n or self.n
        if self.spread is None or number < 2:
            return None
        if self.spread == 0:
            half = self.resolution
        else:
            half = t_quantile(number - 1, alpha) * self.spread / math.sqrt(number)
        return None if half is None else Interval(self.mean - half, self.mean + half)


def estimate(values: Sequence[float], step: float | None) -> MeanEstimate:
    """Mean and spread of at least one value."""
    mean = math.fsum(values) / len(values)
    spread = sample_deviation(values) if len(values) > 1 else None
    return MeanEstimate(len(values), mean, spread, step)
