"""Intervals from mean and spread: against those from values, and by how often they hold."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.report.claims.intervals import MeanEstimate, estimate
from winnow.report.statistics import Interval, t_interval

SIMULATIONS = 2000


def test_it_is_students_interval_of_the_values() -> None:
    values = [0.1, 0.4, 0.35, 0.8]
    found = estimate(values, None)
    assert (found.n, found.mean) == (4, pytest.approx(np.mean(values)))
    assert found.spread == pytest.approx(np.std(values, ddof=1))
    for alpha in (0.05, 0.01):
        own, other = found.interval(alpha), t_interval(values, level=1 - alpha)
        assert own is not None
        assert other is not None
        assert (own.low, own.high) == pytest.approx((other.low, other.high))


def test_as_if_there_were_more() -> None:
    """By a table of Student's t: 2.776 for 4 degrees of freedom, 2.262 for 9."""
    found = MeanEstimate(5, 1.0, 2.0)
    for n, t in ((None, 2.776), (10, 2.262)):
        interval = found.interval(n=n)
        assert interval is not None
        assert interval.half_width == pytest.approx(t * 2 / (n or 5) ** 0.5, rel=1e-3)


def test_without_spread_it_is_a_step_of_the_column_wide() -> None:
    assert estimate([0.5, 0.5, 0.5], 0.1).interval() == Interval(0.4, 0.6)
    assert estimate([0.5, 0.5, 0.5], None).interval() is None
    third = [0.1 + 0.2, 0.3, 0.3]  # equal but for rounding
    rounded = estimate(third, 0.25).interval()
    assert rounded is not None
    assert (rounded.low, rounded.high) == pytest.approx((0.05, 0.55))
    assert estimate([0.5], 0.1).interval() is None


def test_of_2000_simulated_experiments_at_n_5_the_interval_holds_the_truth() -> None:
    draws = np.random.default_rng(5).normal(0.3, 2.0, size=(SIMULATIONS, 5))
    held = 0
    for values in draws:
        interval = estimate(values.tolist(), None).interval()
        assert interval is not None
        held += interval.low <= 0.3 <= interval.high
    assert 0.93 <= held / SIMULATIONS <= 0.97
