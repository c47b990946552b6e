"""The smallest difference that a column can show: one image of a set, one evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from winnow.amounts import iterations
from winnow.data.facts import dataset_names, facts
from winnow.report.results import Results

_PLANNED = ("density", "density_total", "weights_kept", "iterations", "cost")
"""Columns that the plan says, without noise."""


def resolution(results: Results, column: str) -> float | None:
    """The step of a column, in its own unit; None where it is not known.

    Accuracies are counts of images: one over the test, validation or training images that they
    count. Early stopping is known to one evaluation. What the plan says is exact: 0.
    """
    if column in _PLANNED:
        return 0.0
    if column == "stop_iteration":
        return _evaluation(results)
    if "accuracy" in column and "." not in column:
        images = _images(results, column)
        return 1 / images if images else None
    return None


def _images(results: Results, column: str) -> int | None:
    data = _section(results, "data")
    if data.get("name") not in dataset_names():
        return None
    about = facts(data["name"])
    held_out = int(data.get("validation") or 0)
    if "validation" in column:
        return held_out or None
    if "train" in column:
        return int(data.get("train") or about.train_size - held_out)
    return about.test_size


def _evaluation(results: Results) -> float | None:
    train = _section(results, "train")
    every, batch = train.get("evaluate"), train.get("batch")
    if not isinstance(every, str):
        return None
    images = _images(results, "train")
    if every.endswith("ep") and not (images and batch):
        return None
    return float(iterations(every, -(-(images or 0) // (batch or 1))))


def _section(results: Results, name: str) -> Mapping[str, Any]:
    inside = results.recipe.get(name)
    return inside if isinstance(inside, Mapping) else {}
