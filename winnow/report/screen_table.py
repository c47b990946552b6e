"""The table that a terminal shows: a few densities, and what each arm loses there, as bars."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from winnow.report import wording
from winnow.report.bars import text_bar
from winnow.report.brief_table import BriefLine, BriefTable
from winnow.report.statistics import Summary

_WIDEST, _NARROWEST = 12, 4  # columns of a bar; narrower ones are left out
_GAP = 2
_SAME = 0.00005  # differences of accuracies that are written as none


@dataclass(frozen=True)
class Shape:
    """What fits a width: so many arms, with bars of ``bar`` columns (0 for none)."""

    arms: int
    bar: int


def table_on_screen(table: BriefTable, columns: int, blocks: bool) -> str:
    """A caption and aligned columns, at most ``columns`` wide unless one arm alone is wider.

    Arms that do not fit are named below.
    """
    if not table.lines:
        return ""
    n = max((s.n for line in table.lines for s in line.accuracies.values()), default=0)
    labels = ["weights left", *(_label(line) for line in table.lines)]
    stops = _stops(table)
    fixed = _wide(labels) + (_GAP + _wide(stops) if stops else 0)
    numbers = {arm: _numbers(table, arm, n) for arm in table.arms}
    shape = _fitting([_wide([arm, *numbers[arm]]) for arm in table.arms], columns - fixed)
    shown = table.arms[: shape.arms]
    most = max((_loss(table, line, arm) for line in table.lines for arm in shown), default=0.0)
    blocksof = [[arm, *_cells(table, arm, numbers[arm], most, shape.bar, blocks)] for arm in shown]
    cells = [labels, *blocksof, *([stops] if stops else [])]
    rest = [*table.arms[shape.arms :], *table.elsewhere]
    return "\n".join(
        [
            textwrap.fill(_caption(table, n, most if shape.bar else 0.0), columns),
            *_aligned(cells),
            *([textwrap.fill(f"on the page: {', '.join(rest)}", columns)] if rest else []),
        ]
    )


def _fitting(widths: Sequence[int], room: int) -> Shape:
    """As many arms as fit, with the widest bars that all of them can have."""
    for count in range(len(widths), 0, -1):
        used = sum(_GAP + width for width in widths[:count])
        bar = min((room - used) // count - 1, _WIDEST)
        if bar >= _NARROWEST:
            return Shape(count, bar)
        if used <= room and count <= 2:  # numbers alone are better than one arm alone
            return Shape(count, 0)
    return Shape(min(1, len(widths)), 0)


def _caption(table: BriefTable, n: int, most: float) -> str:
    fewer = any(s.n < n for line in table.lines for s in line.accuracies.values())
    text = f"Test accuracy {table.at} in %, mean over {wording.plural(n, 'replicate')}"
    text += f", fewer in brackets (of {n})" if fewer else ""
    if not most:
        return f"{text}:"
    return f"{text}; bars: points below dense, up to {100 * most:.1f}; +: above it"


def _label(line: BriefLine) -> str:
    return f"{wording.percent(line.density_total)} %{' (dense)' if line.is_dense else ''}"


def _numbers(table: BriefTable, arm: str, n: int) -> list[str]:
    """The accuracies of an arm, with a + behind what is above dense."""
    return [_number(table, line.accuracies.get(arm), n) for line in table.lines]


def _number(table: BriefTable, summary: Summary | None, n: int) -> str:
    if summary is None:
        return ""
    sign = "+" if (below := _below(table, summary)) is not None and below < -_SAME else ""
    fewer = f" ({summary.n})" if summary.n < n else ""
    return f"{wording.accuracy(summary.mean)}{sign}{fewer}"


def _cells(
    table: BriefTable, arm: str, numbers: Sequence[str], most: float, bar: int, blocks: bool
) -> list[str]:
    """Numbers with their bars behind them."""
    width = _wide([*numbers, *([arm] if not bar else [])])
    cells = []
    for line, number in zip(table.lines, numbers, strict=True):
        drawn = text_bar(_loss(table, line, arm), most, bar, blocks=blocks) if bar else ""
        cells.append(f"{number:<{width}} {drawn:<{bar}}" if bar else number)
    return cells


def _loss(table: BriefTable, line: BriefLine, arm: str) -> float:
    summary = line.accuracies.get(arm)
    below = None if summary is None or line.is_dense else _below(table, summary)
    return 0.0 if below is None or below < _SAME else below


def _below(table: BriefTable, summary: Summary) -> float | None:
    """How far a mean lies below that of the dense network; None where it is not shown."""
    dense = next((line for line in table.lines if line.is_dense), None)
    reference = next(iter(dense.accuracies.values()), None) if dense else None
    return None if reference is None else reference.mean - summary.mean


def _stops(table: BriefTable) -> list[str]:
    """The early stopping of the first arm, with its header; empty without."""
    if all(line.stop is None for line in table.lines):
        return []
    cells = []
    for line in table.lines:
        sign = ">= " if line.is_censored else ""
        cells.append(f"{sign}{wording.rounded(line.stop.mean)}" if line.stop else "")
    width = _wide(["stops at", *cells])
    return ["stops at".rjust(width), *(cell.rjust(width) for cell in cells)]


def _wide(cells: Sequence[str]) -> int:
    return max(map(len, cells), default=0)


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [_wide(cells) for cells in columns]
    return [
        (" " * _GAP).join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]
