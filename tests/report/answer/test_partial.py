"""What is said while runs are still trained."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from made_comparison import LEVELS, made_comparison
from synthetic_report import RECIPE, paper_like, results, sweep

from winnow.report.answer.partial import so_far

RECIPE_OF_FIVE = {**RECIPE, "replicates": 5}
GOOD = [[0.96, 0.97, 0.90], [0.97, 0.982, 0.909]]


def test_rounds_tell_what_is_kept_and_of_how_many_replicates() -> None:
    found = results(sweep({"ticket": GOOD}), recipe=RECIPE_OF_FIVE)
    assert so_far(found) == "tickets keep the dense accuracy down to 50 % (2 of 5 replicates)"
    bad = results(sweep({"ticket": [[0.96, 0.94]]}), recipe=RECIPE_OF_FIVE)
    assert so_far(bad) == "tickets lose 2.0 points at 50 % of the weights (1 of 5 replicates)"


def test_methods_tell_who_leads() -> None:
    assert so_far(made_comparison()).startswith("imp leads at 10 % of the weights with 9")
    levels = dict.fromkeys(LEVELS, (0.1, 0.1))
    assert so_far(made_comparison(levels)) == ""


def test_lines_are_told_together() -> None:
    made = [replace(one, line=line) for line in ("a", "b") for one in sweep({"ticket": GOOD})]
    found = results(made, recipe={**RECIPE, "lines": {"a": {}, "b": {}}})
    assert (
        so_far(found) == "tickets keep their dense accuracy down to 50 % of the weights (a and b)"
    )


@given(st.sets(st.integers(0, 200)))
def test_any_part_of_an_experiment_can_be_told(left: set[int]) -> None:
    found = paper_like(replicates=2, rounds=4)
    rows = tuple(one for k, one in enumerate(found.rows) if k in left)
    assert isinstance(so_far(replace(found, rows=rows)), str)


def test_nothing_finished_says_nothing() -> None:
    assert so_far(results([])) == ""
    assert so_far(results(sweep({"ticket": [[0.96]]}))) == ""
