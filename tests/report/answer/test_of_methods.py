"""The answer on compared methods, on made-up accuracies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_comparison import LEVELS, made_comparison

from winnow.report.answer import answer
from winnow.report.answer.of_methods import leader
from winnow.report.results import Results


def test_the_best_is_compared_with_random_masks_and_with_the_most() -> None:
    levels = {**LEVELS, "mine": (0.93, 0.97)}
    said = answer(made_comparison(levels))
    assert said.startswith("At 10 % of the weights mine is the most accurate of 4 methods with 9")
    assert " points above random masks [" in said
    assert " points above imp [" in said
    assert said.endswith("(5 replicates, 95 % intervals).")


def test_the_most_itself_is_compared_with_dense() -> None:
    said = answer(made_comparison())
    assert "imp is the most accurate of 4 methods" in said
    assert " points above random masks [" in said
    assert " points below the dense network [" in said


def test_who_may_be_as_good_is_counted() -> None:
    levels = {**LEVELS, "mine": (0.93, 0.951), "magnitude": (0.92, 0.9505)}
    said = answer(made_comparison(levels))
    assert "; the other cannot be told apart from it" in said
    assert "cannot be told apart" not in answer(made_comparison())


def test_one_replicate_is_an_observation_without_intervals() -> None:
    said = answer(made_comparison(replicates=1))
    assert said.endswith("(one replicate: an observation, which says nothing about chance).")
    assert "[" not in said


def test_densities_where_nothing_learns_are_passed_over() -> None:
    levels = {"random": (0.6, 0.1), "magnitude": (0.7, 0.1), "imp": (0.8, 0.1), "mine": (0.75, 0.1)}
    found = made_comparison(levels)
    said = answer(found)
    assert said.startswith("At 50 % of the weights imp is the most accurate of 4 methods")
    assert "; at 10 % no method is better than chance)" in said
    lead = leader(found)
    assert lead is not None
    assert lead.lost == pytest.approx((0.1,))


def test_where_nothing_learns_at_all_that_is_the_answer() -> None:
    levels = dict.fromkeys(LEVELS, (0.1, 0.1))
    assert answer(made_comparison(levels)) == (
        "No method is better than chance (10.0 %) at any density (5 replicates)."
    )


def level(found: Results) -> Results:
    rows = [replace(one, stop_test_accuracy=0.8) if one.round else one for one in found.rows]
    return replace(found, rows=tuple(rows))


def test_equal_methods_share_the_first_place() -> None:
    assert answer(level(made_comparison())) == (
        "At 10 % of the weights all 4 methods have 80.0 % (5 replicates, 95 % intervals)."
    )


def test_lines_of_methods_name_the_best_of_each() -> None:
    first, second = made_comparison(), made_comparison({**LEVELS, "mine": (0.93, 0.97)})
    rows = [replace(one, line="small") for one in first.rows]
    rows += [replace(one, line="large") for one in second.rows]
    recipe = {**first.recipe, "lines": {"small": {}, "large": {}}}
    said = answer(replace(first, rows=tuple(rows), recipe=recipe))
    assert said.startswith("The most accurate at 10 % of the weights: imp in small (9")
    assert "; mine in large (9" in said
    assert said.endswith("(5 replicates; clearly ahead of the next in 2 of 2 lines).")


def test_nothing_finished() -> None:
    found = made_comparison()
    nothing = replace(found, rows=(), missing=40)
    assert answer(nothing) == "Nothing to compare is finished yet (40 runs still to come)."
