"""The verdict in words: all that the report claims of one recipe.

Of a contrast it makes two statements on purpose: the paper's rule compares means and says nothing
about chance; the paired 95 % interval does, but with few replicates it rarely decides anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from winnow.experiment.arms import DENSE, REINIT, TICKET
from winnow.report.caveats import caveats
from winnow.report.comparison import comparison
from winnow.report.contrasts import Contrast, contrasts
from winnow.report.paired_statement import paired_statement
from winnow.report.results import Results, compares
from winnow.report.rule_statement import rule_statement
from winnow.report.statement import Statement


def verdict(results: Results) -> tuple[Statement, ...]:
    """Everything the report claims about one recipe, the ticket against dense first."""
    if compares(results):
        statements = comparison(results)
    else:
        statements = [said for pair in contrasts(results) for said in _both(results, pair)]
    warnings = caveats(results)
    if warnings:
        statements.append(Statement("What to keep in mind", warnings))
    return tuple(statements)


def main_verdict(results: Results) -> tuple[Statement, ...]:
    """Of these: tickets against dense and against reinitialisation, and what to keep in mind.

    Where methods are compared, all.
    """
    pairs = {(TICKET.name, DENSE), (TICKET.name, REINIT.name), (None, None)}
    return tuple(s for s in verdict(results) if (s.subject, s.reference) in pairs)


def verdict_text(statements: Sequence[Statement], width: int = 0) -> str:
    """Plain lines; wrapped at ``width`` columns, or not at all when it is 0."""
    lines = []
    for statement in statements:
        lines.append(statement.heading)
        for sentence in statement.sentences:
            text = f"  - {sentence}"
            lines += textwrap.wrap(text, width, subsequent_indent="    ") if width else [text]
    return "\n".join(lines)


def _both(results: Results, pair: Contrast) -> tuple[Statement, ...]:
    if not pair.accuracy:
        heading = f"{pair.subject} against {pair.reference}"
        said: tuple[Statement, ...] = (Statement(heading, (_nothing(pair),)),)
    else:
        said = (rule_statement(results, pair), paired_statement(pair))
    return tuple(replace(s, subject=pair.subject, reference=pair.reference) for s in said)


def _nothing(pair: Contrast) -> str:
    return (
        f"Nothing to compare: no replicate has a finished {pair.subject} run and a finished "
        f"{pair.reference} run{'' if pair.reference == DENSE else ' at the same density'}."
    )
