"""The scoreboard as text, Markdown and HTML: the same cells in each."""

from __future__ import annotations

import re
from html import unescape

import synthetic_report as made
from made_claims import claim, rows, three_rounds, verdict

from winnow.report.claims.judge import judge
from winnow.report.claims.render import (
    NO_CLAIMS,
    claims_html,
    score_html,
    score_markdown,
    score_text,
)
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


def test_html_is_escaped() -> None:
    text = score_html(BOARD)
    assert "<all>" not in text
    assert [unescape(cell) for cell in re.findall("<td>(.*?)</td>", text)] == CELLS


def test_without_claims() -> None:
    empty = scoreboard([])
    assert score_text(empty) == score_markdown(empty) == NO_CLAIMS
    assert score_html(empty) == f"<p>{NO_CLAIMS}</p>"


def test_the_section_of_a_page_has_every_comparison_of_what_has_several() -> None:
    arms = {"dense": [[0.9] * 3], "ticket": [[0.91, 0.92, 0.93]] * 3}
    spread = verdict(made.results(rows(arms)), id="spread", at={"down_to": 51.2})
    text = claims_html([*JUDGED, spread])
    assert text.startswith("<h3>Claims</h3>")
    assert "spread, comparison by comparison" in text
    assert "second, comparison" not in text
    assert text.count("<details>") == 1
    assert all(f"<td>{at}</td>" in text for at in ("80.0", "64.0", "51.2"))
