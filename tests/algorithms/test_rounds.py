"""The walk: exact counts, early end, and the paper's densities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.algorithms.rounds import (
    Round,
    iterative,
    one_shot,
    one_shot_paper_grid,
    rewind_step,
    start_of,
)
from winnow.errors import UserError

LENET = {"fc1": 235_200, "fc2": 30_000, "fc3": 1_000}


def layered(step: Round) -> dict[str, int]:
    assert isinstance(step.keep, dict)
    return step.keep


def test_lenets_layer_wise_rounds() -> None:
    walk = list(iterative(LENET, rounds=28, rate=0.2, rates={"fc3": 0.1}, scope="layer"))
    assert walk[0] == Round(0, None, "init", None)
    assert len(walk) == 29
    assert walk[1] == Round(1, 0, "init", {"fc1": 188_160, "fc2": 24_000, "fc3": 900})
    assert walk[2].parent == 1
    totals = {r.index: 100 * sum(layered(r).values()) / 266_200 for r in walk[1:]}
    for index, percent in ((3, 51.3), (7, 21.1), (9, 13.5), (15, 3.6), (27, 0.3), (28, 0.2)):
        assert totals[index] == pytest.approx(percent, abs=0.05)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 500), min_size=1),
    st.floats(0, 0.999),
    st.sampled_from(["global", "layer"]),
)
def test_each_round_removes_the_rate_of_what_is_left(
    sizes: dict[str, int], rate: float, scope: str
) -> None:
    walk = list(iterative(sizes, rounds=40, rate=rate, scope=scope))
    before = {"": sum(sizes.values())} if scope == "global" else dict(sizes)
    for step in walk[1:]:
        after = {"": step.keep} if isinstance(step.keep, int) else layered(step)
        assert after == {n: c - round(rate * c) for n, c in before.items()}
        assert after != before
        before = after  # type: ignore[assignment]
    if len(walk) < 41:
        assert all(round(rate * count) == 0 for count in before.values())


def test_it_ends_when_nothing_is_left_to_prune() -> None:
    assert [s.keep for s in iterative({"w": 4}, rounds=9, rate=0.5)] == [None, 2, 1]
    assert [s.keep for s in iterative({"w": 4}, rounds=9, rate=0.9)] == [None, 0]
    assert len(list(iterative({"w": 9}, rounds=0, rate=0.5))) == 1
    assert len(list(iterative({"w": 9}, rounds=5, rate=0.0))) == 1


@pytest.mark.parametrize(
    ("rewind", "start"),
    [
        ("init", "init"),
        ("500it", "rewind"),
        ("2.5ep", "rewind"),
        ("none", "parent"),
        ("lr", "parent"),
    ],
)
def test_starts(rewind: str, start: str) -> None:
    walk = list(iterative(LENET, rounds=2, rate=0.2, rewind=rewind))
    assert [step.start for step in walk] == ["init", start, start]
    assert start_of(rewind) == start


def test_one_shot_rounds_all_come_from_the_dense_network() -> None:
    walk = list(one_shot({"a": 10, "b": 10}, [15, {"a": 1}], rewind="3it"))
    assert walk == [
        Round(0, None, "init", None),
        Round(1, 0, "rewind", 15),
        Round(2, 0, "rewind", {"a": 1}),
    ]
    with pytest.raises(UserError, match="cannot keep 21 of 'all weights': it has 20"):
        one_shot({"a": 10, "b": 10}, [21])
    with pytest.raises(UserError, match="cannot keep 11 of 'a'"):
        one_shot({"a": 10}, [{"a": 11}])
    with pytest.raises(UserError, match="unknown parameter 'c'"):
        one_shot({"a": 10}, [{"c": 1}])
    with pytest.raises(UserError, match="cannot keep -1 of 'a'"):
        one_shot({"a": 10}, [{"a": -1}])
    extremes = [0, 20, {"a": 0, "b": 10}]
    assert [step.keep for step in one_shot({"a": 10, "b": 10}, extremes)] == [None, *extremes]


def test_the_papers_one_shot_grid() -> None:
    grid = one_shot_paper_grid(LENET, {"fc1": 0.2, "fc2": 0.2, "fc3": 0.1}, 0.2)
    assert len(grid) == 39
    assert grid[0] == {"fc1": 229_320, "fc2": 29_250, "fc3": 988}
    assert grid[-1] == {"fc1": 5_880, "fc2": 750, "fc3": 512}
    percents = [100 * sum(keep.values()) / 266_200 for keep in grid if isinstance(keep, dict)]
    cut = {math.floor(10 * p) / 10 for p in percents} | {
        math.floor(100 * p) / 100 for p in percents
    }
    assert {95.0, 67.5, 17.6, 5.17} <= cut  # the paper cuts digits off: 67.56 % is its 67.5
    assert one_shot_paper_grid(LENET, {"fc3": 0.1}, 0.2) == grid
    steep = one_shot_paper_grid({"a": 100, "b": 100}, {"b": 0.6}, 0.2)[-1]
    assert steep == {"a": 100 - round(97.5), "b": 0}


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"rate": 1}, "rate is 1"),
        ({"rounds": -1}, "rounds is -1"),
        ({"scope": "erk"}, "unknown scope 'erk'"),
        ({"rates": {"fc3": 0.1}}, "need scope 'layer'"),
        ({"rates": {"fc4": 0.1}, "scope": "layer"}, r"unknown parameter 'fc4'.*'fc[123]'"),
        ({"rates": {"fc3": 1.0}, "scope": "layer"}, "rate of 'fc3'"),
        ({"rewind": "500"}, "write '500it'"),
        ({"rewind": "intit"}, r"unknown rewind 'intit'.*'init'"),
    ],
)
def test_bad_input(given_: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        iterative(LENET, **{"rounds": 3, "rate": 0.2, **given_})  # type: ignore[arg-type]


def test_rewind_steps() -> None:
    assert rewind_step("500it") == 500
    with pytest.raises(UserError, match="epochs are not known here"):
        rewind_step("5ep")
    with pytest.raises(UserError, match="a bare number"):
        rewind_step(500)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="rate is 0"):
        one_shot_paper_grid(LENET, {}, 0)
