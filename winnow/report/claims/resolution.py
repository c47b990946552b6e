"""The smallest difference that a column can show: one image of a set, one evaluation."""

from __future__ import annotations

from winnow.amounts import iterations
from winnow.experiment.recipe.sides import counts_iterations, of_an_analysis
from winnow.report.claims.settings import line_setting
from winnow.report.results import Results, data_facts

_PLANNED = ("density", "density_total", "weights_kept", "iterations", "cost")
"""Columns that the plan says, without noise."""


def resolution(results: Results, column: str, line: str = "") -> float | None:
    """The step of a column of a line, in its own unit; None where it is not known.

    Accuracies are counts of images: one over the test, validation or training images that they
    count. Iterations until something are known to one evaluation. What the plan says is exact: 0.
    """
    if column in _PLANNED:
        return 0.0
    if counts_iterations(column):
        return _evaluation(results, line)
    if "accuracy" in column and not of_an_analysis(column):
        images = _images(results, column, line)
        return 1 / images if images else None
    return None


def _images(results: Results, column: str, line: str) -> int | None:
    name = line_setting(results, line, "data.name")
    about = data_facts(results, name, line)
    if about is None:
        return None
    held_out = int(line_setting(results, line, "data.validation") or 0)
    if "validation" in column:
        return held_out or None
    if "train" in column:
        part = line_setting(results, line, "data.train")
        return int(part or about.train_size - held_out)
    return about.test_size


def _evaluation(results: Results, line: str) -> float | None:
    every = line_setting(results, line, "train.evaluate")
    batch = line_setting(results, line, "train.batch")
    if not isinstance(every, str):
        return None
    images = _images(results, "train", line)
    if every.endswith("ep") and not (images and batch):
        return None
    return float(iterations(every, -(-(images or 0) // (batch or 1))))
