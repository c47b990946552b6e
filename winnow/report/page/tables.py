"""The page's tables, as plain values: a head, rows with the density that they are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.claims.judge import Judged
from winnow.report.claims.score import (
    SCORE_HEAD,
    PaperScore,
    chance,
    score_lines,
    scoreboard,
    summary,
)
from winnow.report.density_table import Cell, DensityTable, by_density, mean_and_range
from winnow.report.method_table import by_method, methods_caption
from winnow.report.page.costs import CostLine
from winnow.report.results import Results


@dataclass(frozen=True)
class TableRow:
    """``cells``: the first names the row. ``density`` in percent, None where it has none; ``arm``
    and ``line`` where the row is of one.
    """

    cells: tuple[str, ...]
    density: float | None = None
    arm: str = ""
    line: str = ""


@dataclass(frozen=True)
class PageTable:
    """``note`` stands above the table; ``label`` chooses it where several share a place."""

    label: str
    head: tuple[str, ...]
    rows: tuple[TableRow, ...]
    note: str = ""


def density_tables(results: Results) -> tuple[PageTable, ...]:
    """Densities × arms: a table for each metric, and one of costs where methods are compared."""
    table = by_density(results)
    metrics: list[tuple[str, Callable[[Cell], str]]] = [
        (
            "Test accuracy at the end (%)",
            lambda cell: mean_and_range(cell.final_test_accuracy, wording.accuracy),
        )
    ]
    if table.early_stopping:
        metrics = [
            (
                "Test accuracy at early stopping (%)",
                lambda cell: mean_and_range(cell.stop_test_accuracy, wording.accuracy),
            ),
            ("Early-stopping iteration", _stop),
            *metrics,
        ]
    if table.costs:
        metrics.append(("Cost in epochs", lambda c: "" if c.cost is None else f"{c.cost:.1f}"))
    return tuple(_density_table(table, label, write) for label, write in metrics)


def method_table(results: Results) -> PageTable:
    """Methods × densities, of a comparison."""
    table = by_method(results)
    labels = [f"{wording.percent(density)} %" for density in table.densities]
    costed = any(cost is not None for cost in table.costs.values())
    last = (f"epochs at {labels[-1]}",) if costed and labels else ()
    rows = []
    for arm, estimates in table.lines.items():
        cells = [arm]
        for estimate in estimates:
            half = ""
            if estimate and estimate.interval:
                half = f" ±{100 * estimate.interval.half_width:.2f}"
            fewer = f" (n {estimate.n})" if estimate and estimate.n < table.n else ""
            cells.append(f"{wording.accuracy(estimate.mean)}{half}{fewer}" if estimate else "")
        cost = table.costs[arm]
        cells += ["" if cost is None else f"{cost:.1f}"] if last else []
        rows.append(TableRow(tuple(cells), arm=arm))
    return PageTable("Methods", ("method", *labels, *last), tuple(rows), methods_caption(table))


def cost_table(lines: Sequence[CostLine]) -> PageTable:
    """Arms and densities, with what each costs."""
    several = any(line.line for line in lines)
    head = (
        *(("line",) if several else ()),
        "arm",
        "weights %",
        "engine",
        "iterations",
        "seconds of a run",
        "speed against dense",
        "multiply-adds of an image",
        "share of dense %",
    )
    rows = tuple(_cost_row(line, several) for line in lines)
    return PageTable("Cost", head, rows)


def claim_tables(judged: Sequence[Judged]) -> tuple[PageTable, ...]:
    """A table for each paper; the last note says what chance may have got wrong."""
    board = scoreboard(judged)
    made = [_claims(paper) for paper in board.papers]
    if not made:
        return ()
    *others, last = made
    return (*others, replace(last, note=f"{last.note}. {chance(board)}"))


CLAIM_HEAD = (SCORE_HEAD[1], SCORE_HEAD[0], *SCORE_HEAD[2:])
"""The claim's name first: the first column stays where a table is scrolled."""


def plain_table(label: str, lines: Sequence[Sequence[str]]) -> PageTable:
    """A table of lines of which the first is the head."""
    return PageTable(label, tuple(lines[0]), tuple(TableRow(tuple(line)) for line in lines[1:]))


def _claims(paper: PaperScore) -> PageTable:
    rows = [TableRow((name, verdict, *rest)) for verdict, name, *rest in score_lines(paper)]
    return PageTable(paper.paper, CLAIM_HEAD, tuple(rows), summary(paper))


def _density_table(table: DensityTable, label: str, write: Callable[[Cell], str]) -> PageTable:
    rows = []
    for line in table.lines:
        cells = [f"{100 * line.density_total:.2f}", f"{line.weights_kept:,}"]
        for arm in table.arms:
            cell = line.cells.get(arm)
            cells.append(_with_count(write(cell), cell) if cell else "")
        rows.append(TableRow(tuple(cells), 100 * line.density_total))
    return PageTable(label, ("weights %", "weights", *table.arms), tuple(rows))


def _with_count(text: str, cell: Cell) -> str:
    if cell.diverged:
        return f"{text} (n {cell.n}, {cell.diverged} diverged)".strip()
    return f"{text} (n {cell.n})" if text else ""


def _stop(cell: Cell) -> str:
    text = mean_and_range(cell.stop_iteration, wording.rounded)
    return f"≥ {text}" if cell.censored and text else text


def _cost_row(line: CostLine, several: bool) -> TableRow:
    adds, share = line.multiply_adds, line.share
    cells = (
        *((line.line,) if several else ()),
        line.arm,
        wording.percent(line.density_total),
        ", ".join(line.engines),
        wording.rounded(line.iterations),
        f"{line.seconds:.1f}",
        "" if line.speed is None or line.arm == DENSE else f"{line.speed:.2f} ×",
        "" if adds is None else wording.rounded(adds),
        "" if share is None else f"{100 * share:.3g}",
    )
    return TableRow(cells, 100 * line.density_total, line.arm, line.line)
