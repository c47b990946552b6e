"""What a terminal shows of a finished experiment: the answer, and one table with bars.

Bars begin at zero: they are what a network loses against the dense one, in points, so that a long
bar is a large loss and a ``+`` is a gain. A pipe gets `winnow.report.brief` instead.
"""

from __future__ import annotations

import textwrap

from winnow.report.answer import answer
from winnow.report.brief_table import few_densities
from winnow.report.caveats import failures
from winnow.report.density_table import by_density
from winnow.report.method_table import by_method, methods_text
from winnow.report.results import Results, by_line, compares
from winnow.report.screen_lines import lines_on_screen
from winnow.report.screen_table import table_on_screen


def screen_text(results: Results, columns: int, *, blocks: bool = True) -> str:
    """The answer, a table, and a note for each thing that went wrong, for so many ``columns``.

    ``blocks``: bars of block characters, else of ``#``. Where methods are compared the table is
    theirs, and as wide as it is; of several lines, a table has them under each other.
    """
    notes = [textwrap.fill(f"note: {failure}", columns) for failure in failures(results)]
    parts = [textwrap.fill(answer(results), columns), _table(results, columns, blocks)]
    return "\n\n".join(part for part in (*parts, "\n".join(notes)) if part)


def _table(results: Results, columns: int, blocks: bool) -> str:
    parts = by_line(results)
    if compares(results):
        tables = [(part.line, methods_text(by_method(part))) for part in parts]
        return "\n\n".join(f"line {line}\n{text}" if line else text for line, text in tables)
    if len(parts) > 1:
        return lines_on_screen(results, columns, blocks)
    return table_on_screen(few_densities(by_density(parts[0])), columns, blocks) if parts else ""
