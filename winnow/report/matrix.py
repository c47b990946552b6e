"""Methods × densities: the table of a comparison that fits a screen, as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from winnow.report import wording
from winnow.report.contrasts import DENSE
from winnow.report.results import TICKET, Results
from winnow.report.statistics import Interval, Summary, t_interval
from winnow.report.table import Cell, Table, query


@dataclass(frozen=True)
class Entry:
    """The mean accuracy of a method at one density, its 95 % t-interval, and its replicates.

    ``interval``: of the mean at this density alone; None with one replicate or without spread.
    """

    mean: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class Matrix:
    """``lines``: method → an entry for each of ``densities`` (of all weights), from large to small.

    ``costs``: method → epochs of its network at the smallest density; None where there is none.
    ``dense`` and ``dense_cost`` are those of the dense network, ``n`` the most replicates.
    """

    at: str
    densities: tuple[float, ...]
    lines: dict[str, tuple[Entry | None, ...]]
    costs: dict[str, float | None]
    dense: Entry | None
    dense_cost: float | None
    n: int


def by_method(results: Results) -> Matrix:
    """The same numbers as in the long table, arms in the same order, controls included."""
    table = query(results)
    sparse = [line for line in table.lines if line.cells.keys() - {TICKET}]
    arms = [arm for arm in table.arms if arm != TICKET]
    lines = {arm: tuple(_entry(table, line.cells.get(arm)) for line in sparse) for arm in arms}
    last = sparse[-1].cells if sparse else {}
    costs = {arm: last[arm].cost if arm in last else None for arm in arms}
    dense = next((line.cells[TICKET] for line in table.lines if TICKET in line.cells), None)
    reference = _entry(table, dense)
    every = [reference, *(entry for line in lines.values() for entry in line)]
    return Matrix(
        "at early stopping" if table.early_stopping else "at the end",
        tuple(line.density_total for line in sparse),
        lines,
        costs,
        reference,
        dense.cost if dense else None,
        max((entry.n for entry in every if entry), default=0),
    )


def caption(found: Matrix) -> str:
    """What the numbers are, and those of the dense network."""
    text = f"Test accuracy {found.at} in %: mean over {wording.plural(found.n, 'replicate')}"
    if found.n > 1:
        text += " ± half the 95 % t-interval at one density"
    fewer = [e for line in found.lines.values() for e in line if e and e.n < found.n]
    text += f", fewer in brackets (of {found.n})." if fewer else "."
    if found.dense is None:
        return text
    cost = "" if found.dense_cost is None else f", {found.dense_cost:.1f} epochs"
    return f"{text} {DENSE}: {_written(found.dense, found.n)}{cost}."


def as_text(found: Matrix) -> str:
    """The caption, then aligned columns."""
    lines = _lines(found)
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    said = caption(found).replace(f" {DENSE}: ", f"\n{DENSE}: ")
    return "\n".join([said, *(_aligned(line, widths) for line in lines)])


def as_html(found: Matrix) -> str:
    """The caption and a table whose first column names the methods."""
    header, *body = _lines(found)
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(line[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:])
        + "</tr>"
        for line in body
    )
    return (
        f'<p class="soft">{escape(caption(found))}</p>\n<div class="scroll">\n'
        f'<table class="matrix">\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>\n'
        "</table>\n</div>"
    )


def _entry(table: Table, cell: Cell | None) -> Entry | None:
    summary = _accuracy(table, cell) if cell else None
    if summary is None:
        return None
    return Entry(summary.mean, t_interval(list(summary.replicates.values())), summary.n)


def _accuracy(table: Table, cell: Cell) -> Summary | None:
    return cell.stop_test_accuracy if table.early_stopping else cell.final_test_accuracy


def _lines(found: Matrix) -> list[tuple[str, ...]]:
    """A header, then a line for each method; the last column has the cost, if any is known."""
    labels = [f"{wording.percent(density)} %" for density in found.densities]
    costed = any(cost is not None for cost in found.costs.values())
    last = (f"epochs at {labels[-1]}",) if costed else ()
    body = [
        (arm, *(_written(entry, found.n) for entry in line), *_costs(found, arm, costed))
        for arm, line in found.lines.items()
    ]
    return [("method", *labels, *last), *body]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
    return "  ".join([line[0].ljust(widths[0]), *numbers]).rstrip()


def _costs(found: Matrix, arm: str, costed: bool) -> Sequence[str]:
    cost = found.costs[arm]
    return () if not costed else ("" if cost is None else f"{cost:.1f}",)


def _written(entry: Entry | None, n: int) -> str:
    if entry is None:
        return ""
    half = f" ±{100 * entry.interval.half_width:.2f}" if entry.interval else ""
    return f"{wording.accuracy(entry.mean)}{half}{f' ({entry.n})' if entry.n < n else ''}"
