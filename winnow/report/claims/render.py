"""The scoreboard as plain text (never wrapped), Markdown and HTML, and the page's section."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from winnow.report.claims.by_item import by_item, items_seen
from winnow.report.claims.judge import Judged
from winnow.report.claims.score import (
    SCORE_HEAD,
    PaperScore,
    Scoreboard,
    chance,
    counts_in_words,
    score_lines,
    scoreboard,
    summary,
)
from winnow.report.claims.words import numbers_of
from winnow.report.density_table import plain_html

NO_CLAIMS = "No recipe here has claims."


def score_text(board: Scoreboard) -> str:
    """Each paper with its counts, then its claims: a line each, and below it what there is."""
    if not board.papers:
        return NO_CLAIMS
    return "\n".join([line for paper in board.papers for line in _text(paper)] + [chance(board)])


def score_markdown(board: Scoreboard) -> str:
    """Each paper as a heading, its counts and a table."""
    if not board.papers:
        return NO_CLAIMS
    return "\n\n".join([*(_markdown(paper) for paper in board.papers), chance(board)])


def score_html(board: Scoreboard) -> str:
    """Each paper as a heading, its counts and a table. All text is escaped."""
    if not board.papers:
        return f"<p>{NO_CLAIMS}</p>"
    papers = "\n".join(_html(paper) for paper in board.papers)
    return f'{papers}\n<p class="soft">{escape(chance(board))}</p>'


def claims_html(judged: Sequence[Judged]) -> str:
    """The section "Claims" of a recipe's page; every comparison stands behind its claim."""
    board = scoreboard(judged)
    details = "\n".join(_details(one) for one in judged if len(numbers_of(one)) > 2)
    return f"<h3>Claims</h3>\n{score_html(board)}\n{details}".rstrip()


def items_text(judged: Sequence[Judged]) -> str:
    """Each figure and table that a claim is read off, with its counts; then how many say seen."""
    scores = by_item(judged)
    counted = [(one.item, counts_in_words(one.counts)) for one in scores if one.counts]
    width = max((len(item) for item, _ in counted), default=0)
    return "\n".join([*(f"{item:<{width}}  {said}" for item, said in counted), items_seen(scores)])


def _text(paper: PaperScore) -> list[str]:
    lines = [f"{paper.paper}: {summary(paper)}"]
    for line in score_lines(paper):
        verdict, name, says, *rest = line
        lines.append(f"  {verdict}: {name}: {says}")
        named = zip(SCORE_HEAD[3:], rest, strict=True)
        told = [f"{head}: {cell}" for head, cell in named if cell]
        lines += [f"    {'; '.join(told)}"] if told else []
    return lines


def _markdown(paper: PaperScore) -> str:
    lines = [SCORE_HEAD, ("---",) * len(SCORE_HEAD), *score_lines(paper)]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    return f"## {paper.paper}\n{summary(paper)}\n\n{table}"


def _html(paper: PaperScore) -> str:
    table = plain_html([SCORE_HEAD, *score_lines(paper)])
    return (
        f"<h4>{escape(paper.paper)}: {escape(summary(paper))}</h4>\n"
        f'<div class="scroll">\n{table}\n</div>'
    )


def _details(judged: Judged) -> str:
    table = plain_html(numbers_of(judged))
    return (
        f"<details>\n<summary>{escape(judged.claim.id)}, comparison by comparison</summary>\n"
        f'<div class="scroll">\n{table}\n</div>\n</details>'
    )
