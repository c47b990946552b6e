"""What a newcomer reads first: the answer, and a small table.

The answer rests on the same contrasts as the whole verdict, the table on the same cells as the
whole table. What failed or is missing is noted below, as no mean has it in it.
"""

from __future__ import annotations

import textwrap

from winnow.report.answer import answer
from winnow.report.brief_table import brief_table_text, few_densities
from winnow.report.caveats import failures
from winnow.report.density_table import by_density
from winnow.report.method_table import by_method, methods_text
from winnow.report.results import Results, by_line, compares


def brief_text(results: Results, width: int = 0) -> str:
    """The answer, a small table of each line, and a note for each thing that went wrong.

    ``width``: where to wrap sentences, in columns; 0 for nowhere.
    """
    notes = "\n".join(_wrapped(f"note: {failure}", width) for failure in failures(results))
    parts = [_wrapped(answer(results), width), *map(_table, by_line(results)), notes]
    return "\n\n".join(part for part in parts if part)


def _table(results: Results) -> str:
    """Methods by densities where they are compared, else arms by a few densities."""
    if compares(results):
        text = methods_text(by_method(results))
    else:
        text = brief_table_text(few_densities(by_density(results)))
    return f"line {results.line}\n{text}" if results.line and text else text


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width) if width else text
