"""Looks: one for an arm, or for a line, whatever chart it is in."""

from __future__ import annotations

import pytest
import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, TICKET
from winnow.report.charts.looks import DENSE_LOOK, arm_looks, line_looks, series_looks
from winnow.report.figures.style import IN_TURN, looks
from winnow.report.results import Results

SNIP, GRASP = made.method("snip"), made.method("grasp")
IMP, OTHER = made.method("imp", kind="iterative"), made.method("lr", kind="iterative")
SHUFFLED = made.control(SNIP, "shuffled")


def compared() -> Results:
    arms = (TICKET, SNIP, GRASP, IMP, OTHER, SHUFFLED)
    rows = [made.row(), *(made.row(arm=arm.name, round=1, density=0.5) for arm in arms[1:])]
    return made.results(rows, arms=arms, recipe={"compare": {}})


def test_arms_of_rounds_have_those_of_the_figures() -> None:
    rows = [made.row(), *(made.row(arm=arm.name, round=1) for arm in OF_ROUNDS)]
    found = arm_looks(made.results(rows))
    assert list(found) == ["dense", *(arm.name for arm in OF_ROUNDS)]
    assert found.pop("dense") == DENSE_LOOK
    assert list(found.values()) == looks(OF_ROUNDS)
    assert len(set(found.values())) == len(found)


def test_an_arm_keeps_its_look_whatever_arms_are_there() -> None:
    few = arm_looks(made.results([made.row(), made.row(arm="one-shot", round=1)]))
    assert list(few) == ["dense", "ticket", "one-shot"]
    many = arm_looks(made.paper_like(replicates=1, rounds=2))
    assert all(many[name] == look for name, look in few.items())


def test_methods_take_theirs_in_turn() -> None:
    found = arm_looks(compared())
    assert [found[arm.name] for arm in (SNIP, GRASP, IMP, OTHER)] == list(IN_TURN[:4])
    assert found["snip-shuffled"] == looks([SHUFFLED])[0]
    assert "ticket" not in found  # nobody prunes the dense network of a comparison


def test_more_methods_than_colours_take_another_dash() -> None:
    arms = [made.method(f"m{k}") for k in range(2 * len(IN_TURN) + 1)]
    rows = [made.row(), *(made.row(arm=arm.name, round=1, density=0.5) for arm in arms)]
    found = arm_looks(made.results(rows, arms=(TICKET, *arms), recipe={"compare": {}}))
    assert len(set(found.values())) == len(found) == len(arms) + 1
    assert [found[f"m{len(IN_TURN)}"].color, found["m0"].color] == [IN_TURN[0].color] * 2


@pytest.fixture
def lined() -> Results:
    lines = {"low": {"a": 1}, "high": {"a": 2}, "never": {"a": 3}}
    rows = [made.row(line=name, run=name) for name in ("high", "low")]
    return made.results(rows, recipe={"a": 0, "lines": lines})


def test_lines_have_theirs_in_the_order_of_the_recipe(lined: Results) -> None:
    assert line_looks(lined) == {"low": IN_TURN[0], "high": IN_TURN[1]}
    assert line_looks(made.results([made.row()])) == {}


def test_what_differs_in_a_chart_has_the_colour(lined: Results) -> None:
    of_lines, of_arms = line_looks(lined), arm_looks(made.paper_like(1, 1))
    arms = [("ticket", "high"), ("reinit", "high")]
    assert series_looks(arms, of_arms, of_lines) == [of_arms["ticket"], of_arms["reinit"]]
    lines = [("reinit", "low"), ("reinit", "high")]
    assert series_looks(lines, of_arms, of_lines) == [IN_TURN[0], IN_TURN[1]]
    both = series_looks([*arms, ("reinit", "low")], of_arms, of_lines)
    assert [look.color for look in both] == [of_lines[at].color for at in ("high", "high", "low")]
    assert [(look.marker, look.dash) for look in both] == [
        (of_arms[name].marker, of_arms[name].dash) for name in ("ticket", "reinit", "reinit")
    ]
    assert series_looks([("unknown", "")], of_arms, of_lines) == [DENSE_LOOK]


def test_more_lines_than_looks_begin_again() -> None:
    names = [f"line {k}" for k in range(len(IN_TURN) + 1)]
    rows = [made.row(line=name, run=name) for name in names]
    found = line_looks(made.results(rows, recipe={"lines": {name: {} for name in names}}))
    assert found[names[-1]] == found[names[0]]
    assert len(found) == len(names)
