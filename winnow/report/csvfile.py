"""rows.csv: every run of every recipe, one line each, for whoever wants other figures."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from winnow.report.results import Results, Row, by_line
from winnow.report.statistics import ACCURACY_AT

_OTHER = ("accuracy_at", "cost", "collapsed", "line")
_FIELDS = tuple(field.name for field in dataclasses.fields(Row) if field.name not in _OTHER)


def as_csv(results: Sequence[Results]) -> str:
    """One line for each recipe, replicate, arm, draw and round; columns named as Row's fields.

    Arms are in the order of the tables. ``accuracy_at`` becomes a column ``accuracy_at_<step>``
    for each step that any run has. What is unknown is empty, several names have spaces between
    them, truth is ``true`` or ``false``, floats read back exactly.
    """
    rows = [row for recipe in results for part in by_line(recipe) for row in _ordered(part)]
    steps = sorted({step for row in rows for step in row.accuracy_at})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    compared = any(row.cost is not None for row in rows)
    fields = [*_FIELDS, *(["cost"] if compared else [])]
    fields += ["collapsed"] if compared or any(row.collapsed for row in rows) else []
    line = ["line"] if any(row.line for row in rows) else []  # last: older columns stay
    writer.writerow([*fields, *(f"{ACCURACY_AT}{step}" for step in steps), *line])
    for row in rows:
        plain = [getattr(row, name) for name in fields]
        at = [row.accuracy_at.get(step) for step in steps]
        writer.writerow(map(_cell, [*plain, *at, *(getattr(row, name) for name in line)]))
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
