"""The scoreboard as plain text (never wrapped) and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from winnow.report.claims.by_item import by_item, items_seen
from winnow.report.claims.judge import Judged
from winnow.report.claims.score import (
    SCORE_HEAD,
    PaperScore,
    Scoreboard,
    chance,
    counts_in_words,
    score_lines,
    summary,
)

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
