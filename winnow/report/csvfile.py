"""rows.csv: every run of every recipe, one line each, for whoever wants other figures."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from winnow.report.results import Results, Row, by_line
from winnow.report.statistics import ACCURACY_AT, VALIDATION_AT

_LOSSES = (
    "stop_test_loss",
    "stop_train_loss",
    "final_validation_loss",
    "final_test_loss",
    "final_train_loss",
)
_OTHER = ("accuracy_at", "cost", "collapsed", "line", "validation_at", *_LOSSES)
_FIELDS = tuple(field.name for field in dataclasses.fields(Row) if field.name not in _OTHER)


def as_csv(results: Sequence[Results]) -> str:
    """One line for each recipe, replicate, arm, draw and round; columns named as Row's fields.

    Arms are in the order of the tables. ``accuracy_at`` becomes a column ``accuracy_at_<step>``
    for each step that any run has, ``validation_at`` a column ``validation_accuracy_at_<step>``;
    losses that no run has recorded have no column. What is unknown is empty, several names have
    spaces between them, truth is ``true`` or ``false``, floats read back exactly.
    """
    rows = [row for recipe in results for part in by_line(recipe) for row in _ordered(part)]
    steps = sorted({step for row in rows for step in row.accuracy_at})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    compared = any(row.cost is not None for row in rows)
    fields = [*_FIELDS, *(["cost"] if compared else [])]
    fields += ["collapsed"] if compared or any(row.collapsed for row in rows) else []
    later = sorted({step for row in rows for step in row.validation_at})
    last = [name for name in _LOSSES if any(getattr(row, name) is not None for row in rows)]
    last += ["line"] if any(row.line for row in rows) else []  # last: older columns stay
    at = [f"{ACCURACY_AT}{step}" for step in steps]
    writer.writerow([*fields, *at, *(f"{VALIDATION_AT}{step}" for step in later), *last])
    for row in rows:
        plain = [getattr(row, name) for name in fields]
        plain += [row.accuracy_at.get(step) for step in steps]
        plain += [row.validation_at.get(step) for step in later]
        writer.writerow(map(_cell, [*plain, *(getattr(row, name) for name in last)]))
    return text.getvalue()


def _ordered(results: Results) -> list[Row]:
    order = {arm.name: index for index, arm in enumerate(results.arms)}
    return sorted(results.rows, key=lambda r: (r.replicate, order[r.arm], r.draw, r.round))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
