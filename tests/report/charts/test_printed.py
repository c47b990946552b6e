"""The paper's numbers beside ours, against claims whose answers are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import synthetic_report as made
from hypothesis import given
from hypothesis import strategies as st
from made_claims import rows, three_rounds, verdict
from scipy import stats

from winnow.report.charts.printed import Printed, printed_numbers

DENSE, SPARSE = [0.90, 0.91, 0.92], [0.915, 0.93, 0.92]
number = st.floats(-1e6, 1e6)


def printed(paper: dict[str, Any], **fields: Any) -> Printed:
    (found,) = printed_numbers([verdict(three_rounds(DENSE, SPARSE), number=paper, **fields)])
    return found


def test_a_difference_in_points_has_students_interval() -> None:
    found = printed(
        {"mean": 1.5, "spread": 0.4, "kind": "sd", "n": 5}, says="it wins", unit="points"
    )
    differences = 100 * (np.array(SPARSE) - np.array(DENSE))
    assert (found.id, found.says, found.unit) == ("made-up", "it wins", "points")
    assert found.ours == pytest.approx(differences.mean())
    assert found.interval == pytest.approx(
        stats.t.interval(0.95, 2, differences.mean(), stats.sem(differences))
    )
    assert (found.paper, found.paper_spread) == (1.5, pytest.approx((1.1, 1.9)))
    assert (found.n, found.paper_n) == (3, 5)
    assert found.answer == "reproduced"


def test_a_ratio_is_told_in_times() -> None:
    found = printed(
        {"mean": 0.5, "n": 3},
        **{"as": "ratio"},
        of="stop_iteration",
        expect=[0, 1],
    )
    assert found.unit == "times"
    assert found.ours == pytest.approx(1.0)  # all stop at the same iteration
    rows_ = rows({"dense": [[100, 200, 400]], "ticket": [[9, 9, 9]] * 2 + [[50, 50, 100]]},
                 "stop_iteration")  # fmt: skip
    one = verdict(
        made.results(rows_), **{"as": "ratio"}, of="stop_iteration", expect=[0, 1],
        number={"mean": 0.5, "spread": [0.4, 0.7], "kind": "range", "n": 3},
    )  # fmt: skip
    (found,) = printed_numbers([one])
    logs = np.log([0.5, 0.25, 0.25])
    assert found.ours == pytest.approx(math.exp(logs.mean()))
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert found.interval == pytest.approx((math.exp(low), math.exp(high)))
    assert found.paper_spread == (0.4, 0.7)


def test_what_is_not_run_has_no_number_of_ours() -> None:
    (found,) = printed_numbers([verdict(made.results([]), number={"mean": 1, "n": 3})])
    assert (found.ours, found.interval, found.n) == (None, None, 0)
    assert found.answer == "not given: not run"
    assert found.paper_spread is None
    assert [mark.name for mark in found.marks()] == ["paper"]


def test_one_replicate_has_a_mean_and_no_interval() -> None:
    one = verdict(three_rounds([0.9], [0.92]), number={"mean": 1, "n": 3}, unit="points")
    (found,) = printed_numbers([one])
    assert found.ours == pytest.approx(2)
    assert (found.interval, found.n) == (None, 1)
    assert found.answer.startswith("not given: ")


@pytest.mark.parametrize(
    ("fields", "unit"),
    [
        ({"unit": "points"}, "points"),
        ({"unit": "points", "compare": ["ticket"], "expect": [0, 100]}, "%"),
        ({"of": "final_test_loss"}, ""),
    ],
)
def test_numbers_have_the_unit_of_their_claim(fields: dict[str, Any], unit: str) -> None:
    assert printed({"mean": 1, "n": 3}, **fields).unit == unit


def test_only_claims_with_a_number_are_there_in_their_order() -> None:
    results = three_rounds(DENSE, SPARSE)
    judged = [
        verdict(results, id="b", number={"mean": 1, "n": 3}, unit="points"),
        verdict(results, id="none"),
        verdict(results, id="a", number={"mean": 9, "n": 3}, unit="points"),
    ]
    found = printed_numbers(judged)
    assert [one.id for one in found] == ["b", "a"]
    assert [one.answer for one in found] == ["reproduced", "differs"]


def row_of(
    paper: float,
    ours: float | None,
    paper_spread: tuple[float, float] | None,
    interval: tuple[float, float] | None,
) -> Printed:
    return Printed("id", "says", "", paper, paper_spread, 3, ours, interval, 3, "reproduced")


@given(number, st.floats(0, 1e5), st.none() | number, st.none() | st.floats(0, 1e5))
def test_marks_lie_inside_the_drawing_in_order(
    paper: float, half: float, ours: float | None, ours_half: float | None
) -> None:
    interval = None if ours is None or ours_half is None else (ours - ours_half, ours + ours_half)
    marks = row_of(paper, ours, (paper - half, paper + half), interval).marks()
    assert [mark.name for mark in marks] == ["paper"] + (["ours"] if ours is not None else [])
    for mark in marks:
        assert 10 <= mark.low <= mark.mean <= mark.high <= 390
        assert 0 < mark.y < 44
    assert len({mark.y for mark in marks}) == len(marks)


def test_marks_by_hand() -> None:
    paper, ours = row_of(20.0, 30.0, (18.0, 22.0), (26.0, 38.0)).marks()
    assert (paper.low, paper.mean, paper.high) == (10, 48, 86)  # 380 over 20 units: 19 a unit
    assert (ours.low, ours.mean, ours.high) == (162, 238, 390)
    (alone,) = row_of(7.0, None, None, None).marks()
    assert (alone.low, alone.mean, alone.high) == (10, 10, 10)
