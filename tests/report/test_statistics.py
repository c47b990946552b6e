from __future__ import annotations

import math

import numpy as np
import pytest
import synthetic_report as made

from winnow.report import statistics
from winnow.rng import stream


def test_interval_by_hand() -> None:
    # 1, 2, 3: mean 2, standard deviation 1, t(0.975, 2) = 4.302653 from any printed table.
    interval = statistics.t_interval([1, 2, 3])
    assert interval is not None
    half = 4.302653 / math.sqrt(3)
    assert interval.low == pytest.approx(2 - half, rel=1e-6)
    assert interval.high == pytest.approx(2 + half, rel=1e-6)
    assert interval.half_width == pytest.approx(half, rel=1e-6)


def test_bonferroni_by_hand() -> None:
    # Five comparisons at 95 %: t(1 - 0.05 / 10, 2) = t(0.995, 2) = 9.924843.
    interval = statistics.t_interval([1, 2, 3], comparisons=5)
    assert interval is not None
    assert interval.half_width == pytest.approx(9.924843 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("values", [[], [0.5], [0.25, 0.25], [0.1 + 0.2, 0.3, 0.3]])
def test_no_interval_without_spread(values: list[float]) -> None:
    assert statistics.t_interval(values) is None


def test_simultaneous_coverage_of_a_sweep() -> None:
    """All of five intervals hold the truth in (1 - 0.01)^5 = 95.1 % of independent sweeps."""
    sweeps, densities, n = 2000, 5, 4
    draws = stream(1, "coverage").normal(0.3, 2.0, size=(sweeps, densities, n))
    held = 0
    for sweep in draws:
        intervals = [statistics.t_interval(list(one), comparisons=densities) for one in sweep]
        held += all(one is not None and one.low <= 0.3 <= one.high for one in intervals)
    error = math.sqrt(0.951 * 0.049 / sweeps)
    assert abs(held / sweeps - 0.951) < 3.5 * error


def test_draws_are_averaged_within_a_replicate_first() -> None:
    rows = [
        made.row(arm="reinit", round=1, replicate=1, draw=draw, stop_test_accuracy=value)
        for draw, value in enumerate((0.1, 0.2, 0.6))
    ]
    rows.append(made.row(arm="reinit", round=1, replicate=2, stop_test_accuracy=0.9))
    summary = statistics.summarize(rows, "stop_test_accuracy")
    assert summary is not None
    assert summary.n == 2
    assert summary.mean == pytest.approx((0.3 + 0.9) / 2)  # not 1.8 / 4
    assert (summary.minimum, summary.maximum) == (0.1, 0.9)  # single runs


def test_runs_that_diverged_or_are_not_finite_count_nowhere() -> None:
    rows = [
        made.row(stop_test_accuracy=0.5),
        made.row(stop_test_accuracy=0.9, status="diverged", replicate=2),
        made.row(stop_test_accuracy=math.nan, replicate=3),
        made.row(stop_test_accuracy=None, replicate=4),
    ]
    summary = statistics.summarize(rows, "stop_test_accuracy")
    assert summary is not None
    assert dict(summary.replicates) == {1: 0.5}
    assert statistics.summarize(rows[1:], "stop_test_accuracy") is None


def test_accuracy_at_a_step_is_a_metric() -> None:
    row = made.row(accuracy_at={500: 0.7})
    assert statistics.value(row, "accuracy_at_500") == 0.7
    assert statistics.value(row, "accuracy_at_600") is None


def test_points_go_from_dense_to_sparse() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8, 0.7], [0.9, 0.6, 0.7]]})
    found = statistics.points(rows, "ticket", "stop_test_accuracy")
    assert [point.density_total for point in found] == [1.0, 0.5, 0.25]
    assert [point.summary.mean for point in found] == pytest.approx([0.9, 0.7, 0.7])
    assert [point.round for point in found] == [0, 1, 2]


def test_differences_are_paired_by_replicate() -> None:
    # The replicates lie far apart; paired differences are +0.01, +0.02, +0.03 all the same.
    rows = made.sweep({"ticket": [[0.50, 0.51], [0.70, 0.72], [0.90, 0.93]]})
    (found,) = statistics.against_dense(rows, "ticket", "stop_test_accuracy")
    assert found.n == 3
    assert found.mean == pytest.approx(0.02)
    assert (found.subject, found.reference) == (pytest.approx(0.72), pytest.approx(0.70))
    assert found.interval is not None
    assert found.interval.half_width == pytest.approx(0.01 * 4.302653 / math.sqrt(3), rel=1e-6)


def test_the_correction_counts_the_densities() -> None:
    one = [[0.5, 0.51], [0.7, 0.72], [0.9, 0.93]]
    five = [[values[0], *[values[1]] * 5] for values in one]
    (alone,) = statistics.against_dense(made.sweep({"ticket": one}), "ticket", "stop_test_accuracy")
    among = statistics.against_dense(made.sweep({"ticket": five}), "ticket", "stop_test_accuracy")
    assert len(among) == 5
    assert alone.interval is not None
    for found in among:
        assert found.interval is not None
        ratio = found.interval.half_width / alone.interval.half_width
        assert ratio == pytest.approx(9.924843 / 4.302653, rel=1e-6)


def test_only_replicates_with_both_sides_count() -> None:
    rows = made.sweep({"ticket": [[0.5, 0.6], [0.8, 0.7], [0.9]]})
    rows = [row for row in rows if (row.replicate, row.round) != (2, 0)]
    (found,) = statistics.against_dense(rows, "ticket", "stop_test_accuracy")
    assert (found.n, found.subject, found.reference) == (1, 0.6, 0.5)
    assert found.interval is None


def test_arms_meet_at_the_same_density_only() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8, 0.7]]})
    rows += [
        made.row(arm="one-shot", round=1, density=0.502, stop_test_accuracy=0.75),  # rounding
        made.row(arm="one-shot", round=2, density=0.26, stop_test_accuracy=0.7),  # another one
    ]
    (found,) = statistics.against_arm(rows, "ticket", "one-shot", "stop_test_accuracy")
    assert found.density_total == 0.5
    assert found.mean == pytest.approx(0.05)


def test_summary_agrees_with_numpy_on_the_whole_set() -> None:
    rows = made.paper_like().rows
    chosen = [row for row in rows if row.arm == "reinit" and row.round == 5]
    values = np.zeros((5, 3))
    for row in chosen:
        values[row.replicate - 1, row.draw] = row.final_test_accuracy
    summary = statistics.summarize(chosen, "final_test_accuracy")
    assert summary is not None
    assert summary.mean == pytest.approx(values.mean(axis=1).mean(), rel=1e-12)
    assert summary.maximum == values.max()


def test_a_point_is_the_mean_of_its_rows_and_ties_go_by_round() -> None:
    rows = [
        made.row(arm="reinit", round=4, density_total=0.31, final_test_accuracy=0.2),
        made.row(arm="reinit", round=4, density_total=0.33, final_test_accuracy=0.6, draw=1),
        made.row(arm="reinit", round=4, density_total=0.9, status="diverged"),
        made.row(arm="reinit", round=2, density_total=0.32, final_test_accuracy=0.5),
        made.row(arm="reinit", round=3, density_total=0.32, final_test_accuracy=None),
        made.row(arm="random", round=2, density_total=0.32, final_test_accuracy=0.7),
    ]
    found = statistics.points(rows, "reinit", "final_test_accuracy")
    assert [(one.round, one.summary.mean) for one in found] == [(2, 0.5), (4, pytest.approx(0.4))]
    assert [one.density_total for one in found] == pytest.approx([0.32, 0.32])
    assert statistics.points(rows, "ticket", "final_test_accuracy") == ()


def test_the_dense_summary_has_round_0_alone() -> None:
    rows = [made.row(replicate=k, final_test_accuracy=k / 10) for k in range(3)]
    rows.append(made.row(round=1, final_test_accuracy=0.9))
    summary = statistics.dense(rows, "final_test_accuracy")
    assert summary is not None
    assert dict(summary.replicates) == {0: 0.0, 1: 0.1, 2: 0.2}
    assert statistics.dense(rows[3:], "final_test_accuracy") is None


def test_dense_is_no_partner_of_an_arm() -> None:
    """A one-shot mask that removes next to nothing has no ticket at its density."""
    rows = [made.row(), made.row(arm="one-shot", round=1, density=0.999)]
    assert statistics.against_arm(rows, "one-shot", "ticket", "stop_test_accuracy") == ()
    assert len(statistics.against_dense(rows, "one-shot", "stop_test_accuracy")) == 1
    assert statistics.against_dense(rows, "ticket", "stop_test_accuracy") == ()


def test_the_nearest_of_densities_that_count_as_the_same() -> None:
    rows = [
        made.row(round=1, density_total=0.500, stop_test_accuracy=0.9),
        made.row(arm="random", round=1, density_total=0.503, stop_test_accuracy=0.3),
        made.row(arm="random", round=2, density_total=0.499, stop_test_accuracy=0.4),
        made.row(arm="random", round=3, density_total=0.498, stop_test_accuracy=0.5),
    ]
    (found,) = statistics.against_arm(rows, "ticket", "random", "stop_test_accuracy")
    assert (found.subject, found.reference, found.density_total) == (0.9, 0.4, 0.5)
    assert found.mean == pytest.approx(0.5)


@pytest.mark.parametrize(("other", "same"), [(0.4951, True), (0.4949, False), (0.505, True)])
def test_one_percent_is_the_same_density(other: float, same: bool) -> None:
    assert statistics.same_density(0.5, other) == statistics.same_density(other, 0.5) == same


def test_the_level_and_no_comparisons() -> None:
    # t(0.95, 2) = 2.919986: a two-sided interval of 90 %.
    interval = statistics.t_interval([1, 2, 3], level=0.9)
    assert interval is not None
    assert interval.half_width == pytest.approx(2.919986 / math.sqrt(3), rel=1e-6)
    assert statistics.t_interval([1, 2, 3], comparisons=0) is None
    assert statistics.t_interval([1e-9, 2e-9]) is not None  # small, and not equal
    assert statistics.t_interval([-2.0, -2.0 - 1e-13]) is None  # equal but for rounding
