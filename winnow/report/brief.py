"""What a newcomer reads first: one sentence of verdict, and a small table.

The sentence rests on the same contrasts as the whole verdict, the table on the same cells as the
whole table. What failed or is missing is noted below, as no mean has it in it.
"""

from __future__ import annotations

import textwrap

from winnow.report.brief_sentence import brief_sentence
from winnow.report.brief_table import brief_table_text, few_densities
from winnow.report.caveats import failures
from winnow.report.density_table import by_density
from winnow.report.method_table import by_method, methods_text
from winnow.report.results import Results, by_line, compares


def brief_text(results: Results, width: int = 0) -> str:
    """The sentence, the small table, and a note for each thing that went wrong, as plain lines.

    Where methods are compared, the table of methods comes first; where the recipe has lines, this
    for each of them. ``width``: where to wrap sentences, in columns; 0 for nowhere.
    """
    parts = by_line(results)
    if parts != (results,):
        return "\n\n".join(f"line {part.line}\n{_brief(part, width)}" for part in parts)
    return _brief(results, width)


def _brief(results: Results, width: int) -> str:
    sentence = _wrapped(brief_sentence(results), width)
    notes = "\n".join(_wrapped(f"note: {failure}", width) for failure in failures(results))
    if compares(results):
        parts = [methods_text(by_method(results)), sentence, notes]
    else:
        parts = [sentence, brief_table_text(few_densities(by_density(results))), notes]
    return "\n\n".join(part for part in parts if part)


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width) if width else text
