"""Points against an independent t-interval, and where axes of accuracies end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from winnow.report.charts.chart import accuracy_limits, chart_point, scale_of
from winnow.report.statistics import summary_of

percent = st.floats(0, 100)


def test_a_point_is_in_percent_with_students_interval() -> None:
    values = [0.91, 0.93, 0.94, 0.90]
    summary = summary_of([*enumerate(values), (0, 0.95)])  # two draws of the first replicate
    assert summary is not None
    point = chart_point(51.2, summary, 100, 3, "a line")
    means = [93.0, 93.0, 94.0, 90.0]
    assert (point.x, point.round, point.line, point.n) == (51.2, 3, "a line", 4)
    assert point.mean == pytest.approx(np.mean(means))
    assert (point.minimum, point.maximum) == (pytest.approx(90), pytest.approx(95))
    assert point.interval == pytest.approx(
        stats.t.interval(0.95, 3, np.mean(means), stats.sem(means))
    )
    assert (point.lost, point.censored) == (0, 0)


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_without_a_spread_there_is_no_interval(values: list[float]) -> None:
    summary = summary_of(enumerate(values))
    assert summary is not None
    assert chart_point(1, summary, 1).interval is None


@pytest.mark.parametrize(
    ("metric", "scale"),
    [
        ("stop_test_accuracy", 100),
        ("accuracy_at_500", 100),
        ("test_accuracy", 100),
        ("stop_iteration", 1),
        ("iterations_to_97", 1),
        ("final_test_loss", 1),
    ],
)
def test_only_accuracies_are_in_percent(metric: str, scale: float) -> None:
    assert scale_of(metric) == scale


@given(st.lists(percent, min_size=1, max_size=30), percent)
def test_limits_are_in_order_and_contain_the_dense_mean(means: list[float], dense: float) -> None:
    low, high = accuracy_limits([*means, dense], dense)
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert 0 <= low < high <= 100.5
    assert low <= dense <= high
    assert high >= max(means)


@given(st.lists(percent, min_size=1, max_size=30))
def test_limits_without_a_dense_mean_contain_the_best(means: list[float]) -> None:
    low, high = accuracy_limits(means)
    assert 0 <= low < high <= 100.5
    assert low <= max(means) <= high


def test_collapsed_networks_leave_the_axis_and_near_ones_do_not() -> None:
    near = [97.8, 97.9, 98.0, 98.1, 97.0]
    low, high = accuracy_limits([*near, 11.35], 98.0)
    assert low == 98 - 6  # the median distance is 0.1, and 6 points are the least
    assert low > 11.35
    assert high == pytest.approx(98.1 + 0.5)
    low, high = accuracy_limits([90, 80, 70, 60, 0], 90)
    assert low == 0  # the median distance is 20: 120 points below
    low, high = accuracy_limits([90, 89, 88, 87, 50], 90)
    assert low == pytest.approx(90 - 6 * 2)
    assert high == pytest.approx(90 + 0.05 * 12)


def test_limits_are_no_wider_than_the_values_need() -> None:
    assert accuracy_limits([98.0, 98.2], 98.2) == pytest.approx((97.5, 98.7))
    assert accuracy_limits([100.0])[1] == 100.5
    assert accuracy_limits([0.2], 0.2)[0] == 0.0
