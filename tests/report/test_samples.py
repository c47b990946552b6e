"""Columns of rows and of analyses, as numbers of single runs."""

from __future__ import annotations

import math

import pytest
import synthetic_report as made

from winnow.errors import UserError
from winnow.report.results import Curve, Finding
from winnow.report.samples import Sample, check_column, column_samples, row_columns


def values(results, *arguments):
    return [one.value for one in column_samples(results, *arguments)]


def test_a_number_of_rows_and_one_by_step() -> None:
    results = made.results([made.row(accuracy_at={500: 0.7}), made.row(replicate=2)])
    assert values(results, "stop_iteration") == [8000, 8000]
    assert values(results, "accuracy_at_500") == [0.7, None]
    assert values(results, "accuracy_at", 500) == [0.7, None]
    assert values(results, "accuracy_at_501") == [None, None]


def test_what_is_not_done_or_not_finite_has_no_value() -> None:
    rows = [made.row(status="diverged"), made.row(final_test_accuracy=math.nan)]
    assert values(made.results(rows), "final_test_accuracy") == [None, None]


def test_only_what_is_read_at_early_stopping_is_censored() -> None:
    results = made.results([made.row(stop_censored=True), made.row(stop_censored=None)])
    for column, said in (
        ("stop_test_accuracy", [True, False]),
        ("final_test_accuracy", [False] * 2),
    ):
        assert [one.censored for one in column_samples(results, column)] == said


def test_what_analyses_found_are_numbers_of_runs() -> None:
    rows = ({"squared": 2.0, "kept": 3}, {"layer": "a", "squared": 0.5}, {"bin": 1, "squared": 9})
    found = Finding("norm", "ticket", None, 1, 0, 1, 0.5, 0.4, 7, rows, line="low")
    results = made.results([], findings=(found,))
    one = Sample("ticket", "low", 1, 0, 1, 0.5, 0.4, "done", 2.0, weights_kept=7)
    assert column_samples(results, "norm.squared") == (one,)
    assert column_samples(results, "norm.squared:a")[0].value == 0.5
    assert column_samples(results, "norm.squared:b")[0].value is None
    assert column_samples(results, "norm.other")[0].value is None
    assert column_samples(results, "other.squared") == ()


def test_iterations_to_an_accuracy_come_from_curves() -> None:
    curve = Curve((0, 10, 20), (3.0, 2.0, 1.0), (0.5, 0.9, 0.97), ())
    results = made.results([made.row()], curves={made.row().run: curve})
    assert column_samples(results, "iterations_to_90")[0].value == 10
    assert column_samples(results, "iterations_to_97")[0].value == 20
    (never,) = column_samples(results, "iterations_to_97.5")
    assert (never.value, never.at_least, never.censored) == (None, 20, True)
    assert column_samples(made.results([made.row()]), "iterations_to_90")[0].at_least is None
    diverged = made.row(status="diverged")
    (bad,) = column_samples(made.results([diverged], curves=results.curves), "iterations_to_90")
    assert (bad.value, bad.at_least, bad.status) == (None, None, "diverged")
    with pytest.raises(UserError, match="an accuracy in percent"):
        check_column("iterations_to_much")


@pytest.mark.parametrize(
    ("column", "step", "told"),
    [
        ("final_test_acuracy", None, "Did you mean 'final_test_accuracy'"),
        ("arm", None, "unknown column 'arm'"),
        ("accuracy_at", None, "accuracy_at_STEP"),
        ("stop_iteration", 5, "stop_iteration at step 5"),
    ],
)
def test_other_columns_are_refused_with_those_that_there_are(column, step, told) -> None:
    with pytest.raises(UserError, match=told) as error:
        check_column(column, step)
    assert "stop_iteration" in str(error.value)
    assert "ANALYSIS.FIELD" in str(error.value)


def test_the_columns_are_the_numbers_of_a_row() -> None:
    names = row_columns()
    assert {"density", "stop_iteration", "cost", "accuracy_at"} <= set(names)
    assert not {"arm", "run", "status", "collapsed", "stop_censored", "line"} & set(names)
