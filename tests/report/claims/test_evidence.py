"""Differences, ratios, values and crossings, replicate by replicate, by hand."""

from __future__ import annotations

import math

import pytest
from made_claims import claim

from winnow.report.claims.evidence import CENSORED, Gap, SideRuns, compared, crossing


def side(*values: float, bad: float = 0.0, censored: bool = False) -> SideRuns:
    return SideRuns(dict(enumerate(values)), bad, censored)


def of(*sides: SideRuns, step: float | None = None, **fields: object):
    return compared(claim(**fields).parts()[0], sides, 0.5, [step] * len(sides))


def test_differences_are_paired_by_replicate() -> None:
    sides = [SideRuns({1: 3.0, 2: 5.0}, 0, False), SideRuns({2: 1.0, 3: 9.0}, 0, False)]
    found = compared(claim().parts()[0], sides, 0.5, [0.25, 0.25])
    assert found.values == {2: 4.0}
    assert (found.resolution, found.log, found.density) == (0.25, False, 0.5)


def test_points_scale_values_and_their_step() -> None:
    found = of(side(0.98), side(0.97), step=1e-4, unit="points")
    assert found.values == pytest.approx({0: 1.0})
    assert found.resolution == pytest.approx(0.01)


def test_ratios_are_logarithms_with_a_step_relative_to_both_means() -> None:
    found = of(side(200.0, 100.0), side(100.0, 50.0), step=10.0, **{"as": "ratio"})
    assert found.values == pytest.approx({0: math.log(2), 1: math.log(2)})
    assert found.log
    assert found.resolution == pytest.approx(10 / 150 + 10 / 75)
    assert "above 0" in of(side(0.0), side(1.0), **{"as": "ratio"}).blocked


def test_a_value_alone() -> None:
    assert of(side(0.9, 0.8), compare=["ticket"]).values == {0: 0.9, 1: 0.8}


def test_without_a_replicate_on_both_sides_there_is_a_gap_unless_runs_diverged() -> None:
    assert isinstance(of(side(), side(1.0)), Gap)
    assert of(side(bad=1.0), side(1.0)).blocked == "100 % of the runs of a side diverged"


@pytest.mark.parametrize(("bad", "blocked"), [(0.33, False), (1 / 3, True), (0.5, True)])
def test_a_third_of_diverged_runs_is_too_much(bad, blocked) -> None:
    assert bool(of(side(1.0), side(1.0, bad=bad)).blocked) == blocked


@pytest.mark.parametrize(
    ("first", "second", "bound", "blocked"),
    [
        (False, False, "", False),
        (True, False, "above", False),
        (False, True, "below", False),
        (True, True, "both", True),
    ],
)
def test_censored_iterations_bound_a_difference_on_a_side(first, second, bound, blocked) -> None:
    found = of(side(1.0, censored=first), side(2.0, censored=second), of="stop_iteration")
    assert (found.bound, bool(found.blocked)) == (bound, blocked)
    accuracy = of(side(1.0, censored=first), side(2.0, censored=second))
    assert accuracy.bound == ""
    assert bool(accuracy.blocked) == (first or second)


def test_an_accuracy_that_is_never_reached_bounds_the_iterations_to_it() -> None:
    found = of(side(1.0), side(2.0, censored=True), of="iterations_to_97.5")
    assert (found.bound, found.blocked) == ("below", "")
    alone = of(side(2.0, censored=True), of="iterations_to_97.5", compare=["ticket"])
    assert (alone.bound, alone.blocked) == ("above", "")


def test_two_columns_have_a_step_each() -> None:
    sides = [{"arm": "ticket", "of": "stop_validation_accuracy"}, "ticket"]
    part = claim(compare=sides).parts()[0]
    found = compared(part, [side(0.5), side(0.25)], 0.5, [1e-3, 1e-4])
    assert (found.values, found.resolution) == ({0: 0.25}, 1e-3)
    assert compared(part, [side(0.5), side(0.25)], 0.5, [None, 1e-4]).resolution is None
    ratio = claim(compare=sides, **{"as": "ratio"}).parts()[0]
    found = compared(ratio, [side(0.5), side(0.25)], 0.5, [1e-3, 1e-4])
    assert found.resolution == pytest.approx(1e-3 / 0.5 + 1e-4 / 0.25)
    told = compared(part, [side(), side(0.25)], 0.5, [1e-3, 1e-4])
    columns = "stop_validation_accuracy and final_test_accuracy"
    assert told == Gap(f"no replicate has {columns} of every side there", 0.5)


def test_only_the_side_of_iterations_is_bounded() -> None:
    sides = [{"arm": "ticket", "of": "stop_test_accuracy"}, "ticket"]
    part = claim(of="stop_validation_accuracy", compare=sides).parts()[0]
    found = compared(part, [side(0.5, censored=True), side(0.25)], 0.5, [None, None])
    assert (found.bound, found.blocked) == ("", CENSORED)


X = [0.8, 0.4, 0.2, 0.1]


def crosses(*changes: float) -> float | None:
    found = crossing(X, [{0: change} for change in changes], [side(), side()], 0.2)
    return math.exp(found.values[0]) if found.values else None


def test_a_crossing_is_interpolated_in_log_density() -> None:
    assert crosses(2, 1, -1, -2) == pytest.approx(math.sqrt(0.4 * 0.2))
    assert crosses(2, 1, -3, -2) == pytest.approx(0.4 * (0.2 / 0.4) ** 0.25)
    assert crosses(2, 0, -1, -2) == pytest.approx(0.4)


def test_the_last_crossing_counts() -> None:
    assert crosses(1, -1, 1, -1) == pytest.approx(math.sqrt(0.2 * 0.1))


def test_without_a_crossing_it_is_censored() -> None:
    assert crosses(2, 1, 1, 0) is None  # not yet
    assert crosses(-1, -1, -1, -1) is None  # never above
    found = crossing(X, [{0: 1, 1: 1}, {0: -1, 1: 1}, {0: -1, 1: 1}, {0: -1, 1: 1}], [side()], 0.2)
    assert found.blocked == "1 of 2 replicates never cross"
    assert found.n == 1
    both = [side(censored=True), side()]
    assert crossing(X[:2], [{0: 1}, {0: -1}], both, 0.2).blocked == CENSORED
