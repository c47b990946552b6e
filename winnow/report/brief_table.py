"""The small table: a few densities of a sweep, arms side by side, mean test accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from winnow.report import wording
from winnow.report.density_table import DensityLine, DensityTable
from winnow.report.statistics import Summary

_DENSITIES = 6


@dataclass(frozen=True)
class BriefLine:
    """One density of all weights: arm → accuracy. ``is_dense``: that of the dense network.

    ``stop``: the early-stopping iteration of the first arm, None without early stopping;
    ``is_censored``: whether it may come later in some run.
    """

    density_total: float
    is_dense: bool
    accuracies: dict[str, Summary]
    stop: Summary | None = None
    is_censored: bool = False


@dataclass(frozen=True)
class BriefTable:
    """A part of a DensityTable, from dense to sparse.

    ``arms``: those that have one of these densities. ``elsewhere``: those that have others alone.
    The dense network is in the column of the first arm. ``at``: where accuracies are read.
    """

    at: str
    arms: tuple[str, ...]
    elsewhere: tuple[str, ...]
    lines: tuple[BriefLine, ...]


def few_densities(table: DensityTable, count: int = _DENSITIES) -> BriefTable:
    """At most ``count`` densities, evenly over the sweep of the first arm that is pruned.

    The largest and the smallest are among them.
    """
    pruned = [arm for arm in table.arms if any(_has(line, arm) for line in table.lines)]
    sweep = [line for line in table.lines if _is_dense(line) or _has(line, *pruned[:1])]
    lines = _evenly(sweep, count)
    shown = [arm for arm in pruned if any(_has(line, arm) for line in lines)]
    columns = tuple(shown or table.arms[:1])
    return BriefTable(
        at="at early stopping" if table.early_stopping else "at the end",
        arms=columns,
        elsewhere=tuple(arm for arm in pruned if arm not in shown),
        lines=tuple(_brief_line(table, line, columns) for line in lines),
    )


def _has(line: DensityLine, *arms: str) -> bool:
    """Whether any of these arms has masks of this density."""
    return any(arm in line.cells and not line.cells[arm].is_dense for arm in arms)


def _is_dense(line: DensityLine) -> bool:
    return any(cell.is_dense for cell in line.cells.values())


def _evenly(lines: Sequence[DensityLine], count: int) -> list[DensityLine]:
    if len(lines) <= count:
        return list(lines)
    step = (len(lines) - 1) / (count - 1)
    return [lines[round(place * step)] for place in range(count)]


def _brief_line(table: DensityTable, line: DensityLine, arms: Sequence[str]) -> BriefLine:
    cells = {arm: line.cells[arm] for arm in arms if _has(line, arm)}
    dense = next((cell for cell in line.cells.values() if cell.is_dense), None)
    if dense is not None:
        cells[arms[0]] = dense
    summaries = {
        arm: cell.stop_test_accuracy if table.early_stopping else cell.final_test_accuracy
        for arm, cell in cells.items()
    }
    known = {arm: summary for arm, summary in summaries.items() if summary is not None}
    first = cells.get(arms[0]) if table.early_stopping else None
    return BriefLine(
        line.density_total,
        _is_dense(line),
        known,
        first.stop_iteration if first else None,
        bool(first and first.censored),
    )


def brief_table_text(table: BriefTable) -> str:
    """A caption and aligned columns, never wrapped; nothing without lines."""
    if not table.lines:
        return ""
    every = [summary.n for line in table.lines for summary in line.accuracies.values()]
    n = max(every, default=0)
    fewer = f", fewer in brackets (of {n})" if any(count < n for count in every) else ""
    caption = f"Test accuracy {table.at} in %, mean over {wording.plural(n, 'replicate')}{fewer}:"
    body = [_cells(table, line, n) for line in table.lines]
    lines = [caption, *_aligned([("weights", *table.arms), *body])]
    if table.elsewhere:
        lines.append(f"{', '.join(table.elsewhere)}: at other densities, on the page")
    return "\n".join(lines)


def _cells(table: BriefTable, line: BriefLine, n: int) -> tuple[str, ...]:
    label = f"{wording.percent(line.density_total)} %{' (dense)' if line.is_dense else ''}"
    return (label, *(_written(line.accuracies.get(arm), n) for arm in table.arms))


def _written(summary: Summary | None, n: int) -> str:
    if summary is None:
        return ""
    return wording.accuracy(summary.mean) + (f" ({summary.n})" if summary.n < n else "")


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
