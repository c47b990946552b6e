"""Columns as claims see them: one number of each run, whether it is a row's or an analysis's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from winnow.errors import unknown
from winnow.report.results import Results, Row, Status

Measured = Mapping[str, Sequence["Sample"]]
"""What analyses found: ``ANALYSIS.FIELD`` → its numbers, one for each run (and step)."""

_NUMBERS = ("int", "float", "int | None", "float | None")
_BY_STEP = "Mapping[int, float]"


@dataclass(frozen=True)
class Sample:
    """One number of one run; ``value`` is None where there is none.

    ``round`` 0 is a dense network, whatever its arm. ``censored``: the number is of a stop whose
    true place may be later. ``step``: where it was measured, of a column that has several.
    """

    arm: str
    line: str
    replicate: int
    draw: int
    round: int
    density: float
    density_total: float
    status: Status
    value: float | None
    censored: bool = False
    step: int | None = None


def row_columns() -> list[str]:
    """The columns of rows that a claim can be about; those by step without their step."""
    return [f.name for f in fields(Row) if f.type in (*_NUMBERS, _BY_STEP)]


def column_samples(
    results: Results, column: str, step: int | None = None, measured: Measured | None = None
) -> tuple[Sample, ...]:
    """The numbers of a column, run by run; none for an analysis that nobody has made.

    Raises UserError for a column that rows do not have, naming what they have.
    """
    if "." in column:
        found = (measured or {}).get(column, ())
        return tuple(one for one in found if step is None or one.step == step)
    name, at = _split(column, step)
    return tuple(_sample(row, name, at, row.status) for row in results.rows)


def check_column(column: str, step: int | None = None) -> None:
    """Raises UserError for a column that rows do not have, naming what they have."""
    if "." not in column:
        _split(column, step)


def _split(column: str, step: int | None) -> tuple[str, int | None]:
    """A field of Row, and the step of one by step: accuracy_at_500 → accuracy_at, 500."""
    by_step = [field.name for field in fields(Row) if field.type == _BY_STEP]
    plain = [field.name for field in fields(Row) if field.type in _NUMBERS]
    prefix, _, last = column.rpartition("_")
    if prefix in by_step and last.isdecimal():
        return prefix, int(last)
    if column in by_step and step is not None:
        return column, step
    if column in plain and step is None:
        return column, None
    shown = [*plain, *(f"{name}_STEP" for name in by_step), "ANALYSIS.FIELD"]
    wanted = column if step is None else f"{column} at step {step}"
    raise unknown("column", wanted, shown, f"A claim can be about {', '.join(shown)}")


def _sample(row: Row, name: str, at: int | None, status: Status) -> Sample:
    number = getattr(row, name) if at is None else getattr(row, name).get(at)
    usable = status == "done" and number is not None and math.isfinite(number)
    return Sample(
        arm=row.arm,
        line=row.line,
        replicate=row.replicate,
        draw=row.draw,
        round=row.round,
        density=row.density,
        density_total=row.density_total,
        status=status,
        value=float(number) if usable else None,
        censored=name.startswith("stop_") and bool(row.stop_censored),
        step=at,
    )
