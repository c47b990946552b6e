"""The scoreboard as text and Markdown: the same cells in each."""

from __future__ import annotations

import re

import synthetic_report as made
from made_claims import claim, three_rounds, verdict

from winnow.report.claims.judge import judge
from winnow.report.claims.render import NO_CLAIMS, score_markdown, score_text
from winnow.report.claims.score import SCORE_HEAD, score_lines, scoreboard

LONG = "tickets | of <all> kinds win & go on winning, " * 5
JUDGED = [
    verdict(
        three_rounds([0.9, 0.9, 0.9], [0.91, 0.911, 0.912]), says=LONG, number={"mean": 1, "n": 3}
    ),
    judge(claim(id="second"), made.results([])),
]
BOARD = scoreboard(JUDGED)
CELLS = [cell for line in score_lines(BOARD.papers[0]) for cell in line]


def test_text_is_plain_and_never_wrapped() -> None:
    lines = score_text(BOARD).splitlines()
    assert lines[0] == "LTH: 1 confirmed, 1 not run; numbers reproduced: 0 of 1"
    assert lines[1] == f"  confirmed: made-up: {LONG}"
    assert lines[2].startswith("    ours [95 %]: +0.011 [")
    assert lines[3:5] == [
        "  not run: second: it holds",
        "    expected: ≥ 0; why: no run of ticket is finished",
    ]
    assert lines[5].startswith("1 decided at 95 %")
    assert all(cell in score_text(BOARD) for cell in CELLS)


def test_markdown_has_one_line_for_each_claim() -> None:
    table = [line for line in score_markdown(BOARD).splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\| ?", line)[1:-1] for line in table]
    assert [len(line) for line in cells] == [len(SCORE_HEAD)] * 4
    flat = [cell.replace(r"\|", "|").strip() for line in cells[2:] for cell in line]
    assert flat == [cell.strip() for cell in CELLS]


def test_without_claims() -> None:
    empty = scoreboard([])
    assert score_text(empty) == score_markdown(empty) == NO_CLAIMS
