"""Columns as claims and views see them: one number of each run, from its row, its curve, or an
analysis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from winnow.errors import UserError, unknown
from winnow.experiment.recipe.sides import ITERATIONS_TO, of_an_analysis
from winnow.report.results import Curve, Results, Row, Status

_NUMBERS = ("int", "float", "int | None", "float | None")
_BY_STEP = {"accuracy_at": "accuracy_at", "validation_accuracy_at": "validation_at"}  # name → field


@dataclass(frozen=True)
class Sample:
    """One number of one run; ``value`` is None where there is none.

    ``round`` 0 is a dense network, whatever its arm. ``censored``: the number is of a stop whose
    true place may be later. ``at_least``: of a run that never got there, the last iteration that
    was looked at; it is censored. ``step``: where it was measured, of a column that has several.
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
    weights_kept: int = 0
    at_least: float | None = None


def row_columns() -> list[str]:
    """The columns of rows that a claim can be about; those by step without their step."""
    return [*(f.name for f in fields(Row) if f.type in _NUMBERS), *_BY_STEP]


def column_samples(results: Results, column: str, step: int | None = None) -> tuple[Sample, ...]:
    """The numbers of a column, run by run; none for an analysis that nobody has made.

    ``iterations_to_97``: those until the validation accuracy first reaches 97 %; runs that end
    before it does have no value, and ``at_least``. Raises UserError for a column that rows do not
    have, naming what they have.
    """
    if column.startswith(ITERATIONS_TO):
        wanted = _fraction(column)
        return tuple(_until(row, results.curves.get(row.run), wanted) for row in results.rows)
    if of_an_analysis(column):
        return _found(results, column)
    name, at = _split(column, step)
    return tuple(_sample(row, name, at, row.status) for row in results.rows)


def _found(results: Results, column: str) -> tuple[Sample, ...]:
    """What analyses found: LABEL.FIELD of whole networks, LABEL.FIELD:LAYER of one layer."""
    key, _, field = column.partition(".")
    field, _, layer = field.partition(":")
    samples = []
    for found in results.findings:
        if found.key != key:
            continue
        rows = [row for row in found.rows if row.get("layer") == layer] if layer else [found.whole]
        value = rows[0].get(field) if rows else None
        samples.append(
            Sample(
                found.arm,
                found.line,
                found.replicate,
                found.draw,
                found.round,
                found.density,
                found.density_total,
                "done",
                float(value) if isinstance(value, int | float) else None,
                weights_kept=found.weights_kept,
            )
        )
    return tuple(samples)


def check_column(column: str, step: int | None = None) -> None:
    """Raises UserError for a column that rows do not have, naming what they have."""
    if column.startswith(ITERATIONS_TO):
        _fraction(column)
    elif not of_an_analysis(column):
        _split(column, step)


def _fraction(column: str) -> float:
    """The accuracy that ``iterations_to_97`` names. UserError for what is no percentage."""
    try:
        return float(column.removeprefix(ITERATIONS_TO)) / 100
    except ValueError:
        raise UserError(f"{column}: write an accuracy in percent, {ITERATIONS_TO}97.5") from None


def _until(row: Row, curve: Curve | None, wanted: float) -> Sample:
    """Until the first evaluation whose validation accuracy is at least ``wanted``."""
    sample = replace(_sample(row, "iterations", None, row.status), value=None)
    if row.status != "done" or curve is None or not curve.validation_accuracy:
        return sample
    pairs = zip(curve.steps, curve.validation_accuracy, strict=True)
    reached = next((float(step) for step, accuracy in pairs if accuracy >= wanted), None)
    if reached is None:
        return replace(sample, censored=True, at_least=float(curve.steps[-1]))
    return replace(sample, value=reached)


def _split(column: str, step: int | None) -> tuple[str, int | None]:
    """A field of Row, and the step of one by step: accuracy_at_500 → accuracy_at, 500."""
    plain = [field.name for field in fields(Row) if field.type in _NUMBERS]
    prefix, _, last = column.rpartition("_")
    if prefix in _BY_STEP and last.isdecimal():
        return _BY_STEP[prefix], int(last)
    if column in _BY_STEP and step is not None:
        return _BY_STEP[column], step
    if column in plain and step is None:
        return column, None
    shown = [*plain, *(f"{name}_STEP" for name in _BY_STEP), "ANALYSIS.FIELD"]
    wanted = column if step is None else f"{column} at step {step}"
    raise unknown("column", wanted, shown, f"There are {', '.join(shown)}")


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
        weights_kept=row.weights_kept,
    )
