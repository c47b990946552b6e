"""What a notebook shows of an experiment: answer, claims, a figure, a small table."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from winnow.errors import UserError
from winnow.report import wording
from winnow.report.answer import answer
from winnow.report.brief_table import few_densities
from winnow.report.caveats import failures
from winnow.report.claims.judge import judge_all
from winnow.report.density_table import by_density
from winnow.report.page.render import fill
from winnow.report.results import Results, by_line, compares
from winnow.report.screen_lines import LINES_HEAD, line_rows
from winnow.report.tables import tables_of
from winnow.report.tables.text import read_aloud


@dataclass(frozen=True)
class SmallTable:
    """A table of texts; the first column names the rows."""

    caption: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def outcome_html(results: Results, figure: Path | None, page: Path | None) -> str:
    """HTML that stands by itself, without scripts; all text is escaped.

    ``figure``: an SVG that is put into it, left out where it is not there any more. ``page``: where
    the whole report is.
    """
    picture = figure.read_bytes() if figure is not None and figure.is_file() else b""
    said = answer(results)
    return fill(
        "outcome.html.j2",
        title=str(results.recipe.get("title") or results.name),
        recipe=results.name,
        answer=said,
        claims=_claims(results),
        picture=base64.b64encode(picture).decode("ascii"),
        caption=said,
        tables=_tables(results),
        failures=failures(results),
        page="" if page is None else str(page),
    )


def _claims(results: Results) -> list[tuple[str, int]]:
    """Verdicts with their counts, the most frequent first."""
    try:
        judged = judge_all(results)
    except UserError:  # claims of another version: the page says so
        return []
    return list(Counter(str(one.verdict) for one in judged).most_common())


def _tables(results: Results) -> list[SmallTable]:
    if compares(results):
        tables = [table for table in tables_of(results) if table.name == "methods"]
        return [
            SmallTable(t.caption, t.head, tuple(tuple(map(read_aloud, row)) for row in t.body))
            for t in tables
        ]
    parts = by_line(results)
    if len(parts) > 1:
        rows = tuple(line_rows(results))
        return [SmallTable("Test accuracy of each line", LINES_HEAD, rows)] if rows else []
    return [_by_density(part) for part in parts if part.rows]


def _by_density(results: Results) -> SmallTable:
    table = few_densities(by_density(results))
    body = []
    for line in table.lines:
        known = {arm: wording.accuracy(s.mean) for arm, s in line.accuracies.items()}
        label = f"{wording.percent(line.density_total)} %{' (dense)' if line.is_dense else ''}"
        body.append((label, *(known.get(arm, "") for arm in table.arms)))
    caption = f"Test accuracy {table.at} in %, means over replicates"
    return SmallTable(caption, ("weights left", *table.arms), tuple(body))
