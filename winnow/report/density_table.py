"""The table of a recipe, densities × arms: one query (`by_density`), and its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.results import Results, Row, has_early_stopping, is_dense
from winnow.report.statistics import Summary, same_density, summarize

_COLUMNS = ("density_total %", "density %", "weights kept", "round", "arm", "n")


@dataclass(frozen=True)
class Cell:
    """One arm at one density: its summaries, replicates, runs that diverged or whose early stopping
    is censored, cost in epochs; and whether it is the dense network.
    """

    stop_iteration: Summary | None
    stop_test_accuracy: Summary | None
    final_test_accuracy: Summary | None
    n: int
    diverged: int
    censored: int
    cost: float | None
    is_dense: bool


@dataclass(frozen=True)
class DensityLine:
    """One density. ``round`` is that of the first of DensityTable.arms that has it."""

    round: int
    density: float
    density_total: float
    weights_kept: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class DensityTable:
    """The rows of a recipe, gathered: arms in their order, lines from dense to sparse.

    ``costs``: whether any run has one.
    """

    arms: tuple[str, ...]
    lines: tuple[DensityLine, ...]
    early_stopping: bool
    costs: bool


def by_density(results: Results) -> DensityTable:
    """Gather the rows: runs of one arm and round meet in a cell, equal densities in a line.

    Runs that never started (``unreachable``) have no mask and are in no line.
    """
    rows = [row for row in results.rows if row.status != "unreachable"]
    rows = [row for row in rows if isfinite(row.density_total)]
    present = {row.arm for row in rows}
    order = tuple(arm.name for arm in results.arms if arm.name in present)
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: (order.index(row.arm), row.round)):
        _group_of(row, groups).append(row)
    lines = sorted((_line(group) for group in groups), key=lambda line: -line.density_total)
    costs = any(row.cost is not None for row in rows)
    return DensityTable(order, tuple(lines), has_early_stopping(results), costs)


def table_text(table: DensityTable) -> str:
    """Aligned columns, one line for each density and arm, never wrapped or shortened.

    The arms of one density are under each other: side by side they fit no terminal.
    """
    lines = _lines(table)
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    left = _COLUMNS.index("arm")
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _lines(table: DensityTable) -> list[tuple[str, ...]]:
    """A header, then a line for each density and arm."""
    body = [
        _text_line(table, line, arm)
        for line in table.lines
        for arm in table.arms
        if arm in line.cells
    ]
    return [(*_COLUMNS, *_headings(table)), *body]


def _group_of(row: Row, groups: list[list[Row]]) -> list[Row]:
    """The nearest group of the same density, else a new one, which joins the groups.

    Two rounds of one arm never share a group, however little the rate removes.
    """
    fitting = [group for group in groups if _fits(row, group)]
    if fitting:
        return min(fitting, key=lambda group: abs(group[0].density_total - row.density_total))
    groups.append([])
    return groups[-1]


def _fits(row: Row, group: Sequence[Row]) -> bool:
    return same_density(group[0].density_total, row.density_total) and all(
        other.round == row.round for other in group if other.arm == row.arm
    )


def _line(rows: Sequence[Row]) -> DensityLine:
    first = rows[0]
    present = dict.fromkeys(row.arm for row in rows)
    cells = {arm: _cell([row for row in rows if row.arm == arm]) for arm in present}
    return DensityLine(first.round, first.density, first.density_total, first.weights_kept, cells)


def _cell(rows: Sequence[Row]) -> Cell:
    done = [row for row in rows if row.status == "done"]
    return Cell(
        stop_iteration=summarize(rows, "stop_iteration"),
        stop_test_accuracy=summarize(rows, "stop_test_accuracy"),
        final_test_accuracy=summarize(rows, "final_test_accuracy"),
        n=len({row.replicate for row in done}),
        diverged=sum(row.status == "diverged" for row in rows),
        censored=sum(bool(row.stop_censored) for row in done),
        cost=next((row.cost for row in rows if row.cost is not None), None),
        is_dense=any(is_dense(row) for row in rows),
    )


def _headings(table: DensityTable) -> tuple[str, ...]:
    stop = ("stop iteration", "stop test accuracy %") if table.early_stopping else ()
    cost = ("cost in epochs",) if table.costs else ()
    return (*cost, *stop, "final test accuracy %")


def _text_line(table: DensityTable, line: DensityLine, arm: str) -> tuple[str, ...]:
    cell = line.cells[arm]
    name = DENSE if cell.is_dense else arm
    return (*_densities(line), name, _count(cell), *_values(table, cell))


def _densities(line: DensityLine) -> tuple[str, ...]:
    densities = (f"{100 * line.density_total:.2f}", f"{100 * line.density:.2f}")
    return (*densities, f"{line.weights_kept:,}", str(line.round))


def _count(cell: Cell) -> str:
    return f"{cell.n}, {cell.diverged} diverged" if cell.diverged else str(cell.n)


def _values(table: DensityTable, cell: Cell) -> tuple[str, ...]:
    """The columns of a cell; ≥ marks a mean with censored early stopping in it."""
    final = mean_and_range(cell.final_test_accuracy, wording.accuracy)
    cost = ("" if cell.cost is None else f"{cell.cost:.1f}",) if table.costs else ()
    if not table.early_stopping:
        return (*cost, final)
    iteration = mean_and_range(cell.stop_iteration, wording.rounded)
    marked = f"≥ {iteration}" if cell.censored else iteration
    return (*cost, marked, mean_and_range(cell.stop_test_accuracy, wording.accuracy), final)


def mean_and_range(summary: Summary | None, write: Callable[[float], str]) -> str:
    """Mean [minimum–maximum]; the mean alone when there is no spread to show."""
    if summary is None:
        return ""
    if summary.minimum == summary.maximum:
        return write(summary.mean)
    return f"{write(summary.mean)} [{write(summary.minimum)}–{write(summary.maximum)}]"
