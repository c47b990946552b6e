"""The lines of a recipe on a terminal: what each keeps and what it loses at its end, as bars."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from winnow.report import wording
from winnow.report.answer.keeping import against_the_dense, kept
from winnow.report.answer.phrases import line_names
from winnow.report.bars import text_bar
from winnow.report.contrasts import Contrast
from winnow.report.results import Results, by_line, has_early_stopping

_MOST = 12  # lines that are shown
_BAR = 16
LINES_HEAD = ("line", "dense %", "keeps it down to", "smallest", "there %")
"""The columns of `line_rows`."""


def lines_on_screen(results: Results, columns: int, blocks: bool) -> str:
    """A row for each line, the recipe's order kept; nothing while none has anything to compare."""
    known = _known(results)
    if not known:
        return ""
    shown = known[:_MOST]
    most = max(_loss(pair) for _, pair in shown)
    rows = line_rows(results)[:_MOST]
    widths = [max(map(len, column)) for column in zip(LINES_HEAD, *rows, strict=True)]
    room = min(columns - sum(widths) - 2 * len(widths), _BAR)
    bars = [text_bar(_loss(pair), most, max(room, 0), blocks=blocks) for _, pair in shown]
    text = [_aligned(LINES_HEAD, widths)]
    text += [f"{_aligned(row, widths)}  {b}".rstrip() for row, b in zip(rows, bars, strict=True)]
    rest = len(known) - len(shown)
    text += [f"and {wording.plural(rest, 'line')} more, on the page"] if rest else []
    return "\n".join([textwrap.fill(_caption(results, known, most), columns), *text])


def line_rows(results: Results) -> list[tuple[str, ...]]:
    """Each line with something to compare: its dense accuracy, down to which density it keeps it,
    the smallest density that was trained, and the accuracy there.
    """
    return [_row(line, pair) for line, pair in _known(results)]


def _known(results: Results) -> list[tuple[str, Contrast]]:
    name = line_names(results)
    pairs = [(name(part.line), against_the_dense(part)) for part in by_line(results)]
    return [(line, pair) for line, pair in pairs if pair is not None]


def _caption(results: Results, known: Sequence[tuple[str, Contrast]], most: float) -> str:
    n = max(change.n for _, pair in known for change in pair.accuracy)
    at = "at early stopping" if has_early_stopping(results) else "at the end"
    bars = f"; bars: points below dense, up to {100 * most:.1f}" if most else ""
    return f"Test accuracy {at}, mean over {wording.plural(n, 'replicate')}{bars}"


def _row(line: str, pair: Contrast) -> tuple[str, ...]:
    place, last = kept(pair), pair.accuracy[-1]
    down_to = "-" if place is None else f"{wording.percent(pair.accuracy[place].density_total)} %"
    return (
        line,
        wording.accuracy(last.reference),
        down_to,
        f"{wording.percent(last.density_total)} %",
        wording.accuracy(last.subject),
    )


def _loss(pair: Contrast) -> float:
    return max(-pair.accuracy[-1].mean, 0.0)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest])
