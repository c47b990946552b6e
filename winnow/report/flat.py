"""Rows as flat columns, each of one type: what rows.csv, rows.parquet and data frames write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from winnow.report.results import Results, Row, by_line
from winnow.report.statistics import ACCURACY_AT, VALIDATION_AT

Kind = Literal["text", "whole number", "number", "truth"]
FlatCell = str | int | float | bool | None

_WHERE_KNOWN = (
    "stop_test_loss",
    "stop_train_loss",
    "final_validation_loss",
    "final_test_loss",
    "final_train_loss",
    "stop_train_sample_accuracy",
    "final_train_sample_accuracy",
    "stop_train_sample_loss",
    "final_train_sample_loss",
)
_OTHER = ("accuracy_at", "cost", "collapsed", "line", "validation_at", *_WHERE_KNOWN)
_FIELDS = tuple(field.name for field in dataclasses.fields(Row) if field.name not in _OTHER)
_KINDS: dict[str, Kind] = {"int": "whole number", "float": "number", "bool": "truth"}


@dataclass(frozen=True)
class FlatColumn:
    """A column: its name, its kind, and a cell for each row; None where nothing is known, which may
    be where it is ``optional``.
    """

    name: str
    kind: Kind
    cells: tuple[FlatCell, ...]
    optional: bool = True


def flat_columns(results: Sequence[Results]) -> tuple[FlatColumn, ...]:
    """The columns of all rows, named as Row's fields.

    Rows go by recipe, line, replicate, arm (in the order of the tables), draw and round.
    ``accuracy_at`` becomes a column ``accuracy_at_<step>`` for each step that any run has,
    ``validation_at`` a column ``validation_accuracy_at_<step>``. ``cost``, ``collapsed``,
    losses, ``*_train_sample_*`` and ``line`` are there only where any run has them; several names
    have spaces between them.
    """
    rows = [row for recipe in results for part in by_line(recipe) for row in _ordered(part)]
    compared = any(row.cost is not None for row in rows)
    names = [*_FIELDS, *(["cost"] if compared else [])]
    names += ["collapsed"] if compared or any(row.collapsed for row in rows) else []
    last = [name for name in _WHERE_KNOWN if any(getattr(row, name) is not None for row in rows)]
    last += ["line"] if any(row.line for row in rows) else []  # last: older columns stay
    steps = sorted({step for row in rows for step in row.accuracy_at})
    later = sorted({step for row in rows for step in row.validation_at})
    return (
        *(_column(rows, name) for name in names),
        *(_at(rows, "accuracy_at", ACCURACY_AT, step) for step in steps),
        *(_at(rows, "validation_at", VALIDATION_AT, step) for step in later),
        *(_column(rows, name) for name in last),
    )


def _ordered(results: Results) -> list[Row]:
    order = {arm.name: index for index, arm in enumerate(results.arms)}
    return sorted(results.rows, key=lambda r: (r.replicate, order[r.arm], r.draw, r.round))


def _column(rows: Sequence[Row], name: str) -> FlatColumn:
    written = next(str(f.type) for f in dataclasses.fields(Row) if f.name == name)
    kind = _KINDS.get(written.removesuffix(" | None"), "text")
    cells = tuple(_cell(getattr(row, name)) for row in rows)
    return FlatColumn(name, kind, cells, written.endswith("None"))


def _at(rows: Sequence[Row], field: str, prefix: str, step: int) -> FlatColumn:
    cells = tuple(getattr(row, field).get(step) for row in rows)
    return FlatColumn(f"{prefix}{step}", "number", cells)


def _cell(value: object) -> FlatCell:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    assert value is None or isinstance(value, str | int | float)
    return value
