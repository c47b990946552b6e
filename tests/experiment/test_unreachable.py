"""What a diverged run takes with it."""

from __future__ import annotations

from winnow.experiment.unreachable import unreachable_runs

PARENTS = {
    "a": (),
    "b": (),
    "a1": ("a",),
    "b1": ("b",),
    "a2": ("a1",),
    "both": ("a", "b1"),
    "c": (),
}


def test_all_that_needs_a_diverged_run_is_lost():
    assert unreachable_runs(PARENTS, {"a": "diverged", "b": "done"}) == {"a1", "a2", "both"}
    assert unreachable_runs(PARENTS, {"a": "done", "b1": "diverged"}) == {"both"}


def test_nothing_is_lost_without_divergence():
    assert unreachable_runs(PARENTS, {}) == set()
    assert unreachable_runs(PARENTS, dict.fromkeys(PARENTS, "done")) == set()


def test_what_has_a_result_is_not_lost():
    """It was made when its parent had another result: a row with numbers stays one."""
    status = {"a": "diverged", "a1": "done"}
    assert unreachable_runs(PARENTS, status) == {"both"}
