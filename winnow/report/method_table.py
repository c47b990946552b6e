"""The table of a comparison that fits a screen, methods × densities: one query (`by_method`), and
its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.density_table import Cell, DensityTable, by_density
from winnow.report.results import Results
from winnow.report.statistics import Interval, t_interval


@dataclass(frozen=True)
class Estimate:
    """The mean accuracy of a method at one density, its 95 % t-interval, and its replicates.

    ``interval``: of the mean at this density alone; None with one replicate or without spread.
    """

    mean: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class MethodTable:
    """``lines``: method → an estimate for each of ``densities`` (of all weights), large to small.

    ``at``: where accuracies are read. ``costs``: method → epochs of its network at the smallest
    density; None where there is none. ``dense`` and ``dense_cost`` are those of the dense network,
    ``n`` the most replicates.
    """

    at: str
    densities: tuple[float, ...]
    lines: Mapping[str, tuple[Estimate | None, ...]]
    costs: Mapping[str, float | None]
    dense: Estimate | None
    dense_cost: float | None
    n: int


def by_method(results: Results) -> MethodTable:
    """The same numbers as in the table by density, arms in the same order, controls included."""
    table = by_density(results)
    sparse = [(line.density_total, _sparse_cells(line.cells)) for line in table.lines]
    sparse = [(density, cells) for density, cells in sparse if cells]
    arms = [arm for arm in table.arms if any(arm in cells for _, cells in sparse)]
    lines = {arm: tuple(_estimate(table, cells.get(arm)) for _, cells in sparse) for arm in arms}
    smallest = sparse[-1][1] if sparse else {}
    dense = _dense_cell(table)
    reference = _estimate(table, dense)
    every = [reference, *(estimate for line in lines.values() for estimate in line)]
    return MethodTable(
        at="at early stopping" if table.early_stopping else "at the end",
        densities=tuple(density for density, _ in sparse),
        lines=lines,
        costs={arm: smallest[arm].cost if arm in smallest else None for arm in arms},
        dense=reference,
        dense_cost=dense.cost if dense else None,
        n=max((estimate.n for estimate in every if estimate), default=0),
    )


def methods_caption(table: MethodTable) -> str:
    """What the numbers are, and those of the dense network."""
    text = f"Test accuracy {table.at} in %: mean over {wording.plural(table.n, 'replicate')}"
    if table.n > 1:
        text += " ± half the 95 % t-interval at one density"
    every = [estimate for line in table.lines.values() for estimate in line if estimate]
    fewer = any(estimate.n < table.n for estimate in every)
    text += f", fewer in brackets (of {table.n})." if fewer else "."
    if table.dense is None:
        return text
    cost = "" if table.dense_cost is None else f", {table.dense_cost:.1f} epochs"
    return f"{text} {DENSE}: {_written(table.dense, table.n)}{cost}."


def methods_text(table: MethodTable) -> str:
    """The caption, then aligned columns."""
    lines = _lines(table)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    caption = methods_caption(table).replace(f" {DENSE}: ", f"\n{DENSE}: ")
    return "\n".join([caption, *(_aligned(line, widths) for line in lines)])


def _sparse_cells(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    return {arm: cell for arm, cell in cells.items() if not cell.is_dense}


def _dense_cell(table: DensityTable) -> Cell | None:
    cells = (cell for line in table.lines for cell in line.cells.values())
    return next((cell for cell in cells if cell.is_dense), None)


def _estimate(table: DensityTable, cell: Cell | None) -> Estimate | None:
    if cell is None:
        return None
    summary = cell.stop_test_accuracy if table.early_stopping else cell.final_test_accuracy
    if summary is None:
        return None
    return Estimate(summary.mean, t_interval(list(summary.replicates.values())), summary.n)


def _lines(table: MethodTable) -> list[tuple[str, ...]]:
    """A header, then a line for each method; the last column has the cost, if any is known."""
    labels = [f"{wording.percent(density)} %" for density in table.densities]
    costed = any(cost is not None for cost in table.costs.values())
    last = (f"epochs at {labels[-1]}",) if costed else ()
    body = [
        (arm, *(_written(estimate, table.n) for estimate in line), *_cost(table, arm, costed))
        for arm, line in table.lines.items()
    ]
    return [("method", *labels, *last), *body]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
    return "  ".join([line[0].ljust(widths[0]), *numbers]).rstrip()


def _cost(table: MethodTable, arm: str, costed: bool) -> tuple[str, ...]:
    cost = table.costs[arm]
    return () if not costed else ("" if cost is None else f"{cost:.1f}",)


def _written(estimate: Estimate | None, n: int) -> str:
    if estimate is None:
        return ""
    half = f" ±{100 * estimate.interval.half_width:.2f}" if estimate.interval else ""
    fewer = f" ({estimate.n})" if estimate.n < n else ""
    return f"{wording.accuracy(estimate.mean)}{half}{fewer}"
