"""The runs of a page: what is said of each, and which are there where they are many."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import synthetic_report as made
from hypothesis import given
from hypothesis import strategies as st

from winnow.experiment.run_parts import RunData, RunInit, RunModel
from winnow.report.page import run_list
from winnow.report.page.run_list import run_lists
from winnow.report.results import Details, Results

DETAILS = Details(
    id="a" * 64,
    engine="sparse-cpu",
    seeds={"order": 7, "init": 3},
    versions={},
    model=RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0),
    data=RunData("mnist", "c", 5000, "none"),
    kept={},
)


def test_a_run_says_all_that_is_known_of_it() -> None:
    row = made.row(
        arm="reinit", line="low", round=3, replicate=2, draw=1, density=0.4, density_total=0.512345,
        stop_iteration=8000, stop_censored=True, stop_test_accuracy=0.978123,
        final_test_accuracy=0.98, iterations=20_000, seconds=30.04,
    )  # fmt: skip
    (found,) = run_lists([made.results([row], details={row.run: DETAILS})])
    assert (found.each, found.total) == (None, 1)
    assert found.runs == (
        {
            "run": "reinit-2-1-3",
            "arm": "reinit",
            "line": "low",
            "round": 3,
            "replicate": 2,
            "draw": 1,
            "density": 51.23,
            "status": "done",
            "stop": 8000,
            "censored": True,
            "stop_test": 97.812,
            "final_test": 98.0,
            "iterations": 20_000,
            "seconds": 30.0,
            "engine": "sparse-cpu",
            "seeds": "init 3, order 7",
        },
    )


def test_what_is_not_known_is_left_out_and_dense_is_named() -> None:
    lost = made.row(
        status="unreachable", run="", stop_iteration=None, stop_censored=None,
        stop_test_accuracy=None, final_test_accuracy=None, iterations=0, seconds=0.0, replicate=0,
    )  # fmt: skip
    ((found,),) = (one.runs for one in run_lists([made.results([lost])]))
    assert found == {
        "arm": "dense", "round": 0, "replicate": 0, "density": 100.0, "status": "unreachable",
        "iterations": 0, "seconds": 0.0,
    }  # fmt: skip
    diverged = made.row(status="diverged", diverged_at=617)
    ((found,),) = (one.runs for one in run_lists([made.results([diverged])]))
    assert (found["status"], found["diverged_at"]) == ("diverged", 617)


def points(sizes: list[int], name: str = "lth/made-up") -> Results:
    """A point of so many replicates for each size, mixed: first replicates of all, then others."""
    rows = [
        made.row(round=number, replicate=k // 2, draw=k % 2, run=f"{name}-{number}-{k}",
                 density=0.9**number)
        for k in range(max(sizes, default=0))
        for number, size in enumerate(sizes, 1)
        if k < size
    ]  # fmt: skip
    return made.results(rows[::-1], name=name)


def counts(found: Any) -> Counter[int]:
    return Counter(run["round"] for run in found.runs)


@given(
    st.lists(st.lists(st.integers(1, 12), max_size=8), min_size=1, max_size=3),
    st.integers(1, 60),
)
def test_of_many_runs_the_first_of_each_point_stay(sizes: list[list[int]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_list, "MOST_RUNS", most)
        found = run_lists([points(own, f"r{k}") for k, own in enumerate(sizes)])
    every = [size for own in sizes for size in own]
    there = sum(len(one.runs) for one in found)
    assert there <= max(most, len(every))
    assert sum(one.total for one in found) == sum(every)
    assert len({one.each for one in found}) == 1
    each = found[0].each
    assert (each is None) == (sum(every) <= most)
    if each is not None:  # no fewer than are needed
        assert sum(min(size, each + 1) for size in every) > most
    for one, own in zip(found, sizes, strict=True):
        shown = counts(one)
        for number, size in enumerate(own, 1):
            assert shown[number] == min(size, each or size) >= 1
            order = [
                (run["replicate"], run.get("draw", 0)) for run in one.runs if run["round"] == number
            ]
            assert order == [(k // 2, k % 2) for k in range(shown[number])]


def test_thinning_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_list, "MOST_RUNS", 7)
    one, two = run_lists([points([4, 1]), points([4], "other")])
    assert (one.each, two.each) == (3, 3)  # 3 + 1 + 3
    assert (len(one.runs), one.total, len(two.runs), two.total) == (4, 5, 3, 4)
    monkeypatch.setattr(run_list, "MOST_RUNS", 9)
    assert [found.each for found in run_lists([points([4, 1]), points([4], "other")])] == [None] * 2


def test_arms_and_lines_are_points_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_list, "MOST_RUNS", 1)
    rows = [
        made.row(line=line, arm=arm, round=1, replicate=k, run=f"{line}{arm}{k}")
        for line in ("a", "b") for arm in ("ticket", "reinit") for k in (0, 1)
    ]  # fmt: skip
    (found,) = run_lists([made.results(rows)])
    shown = [(run["line"], run["arm"], run["replicate"]) for run in found.runs]
    assert shown == [("a", "ticket", 0), ("a", "reinit", 0), ("b", "ticket", 0), ("b", "reinit", 0)]


def test_a_density_that_is_no_number_is_left_out() -> None:
    (found,) = run_lists([made.results([made.row(density_total=float("nan"))])])
    assert "density" not in found.runs[0]
    json.dumps(found.runs, allow_nan=False)
