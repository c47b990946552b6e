"""The scoreboard: papers, counts, lines, and what chance does."""

from __future__ import annotations

import dataclasses

import pytest
import synthetic_report as made
from made_claims import claim, three_rounds, verdict

from winnow.report.claims.judge import Judged, unjudged
from winnow.report.claims.score import (
    SCORE_HEAD,
    chance,
    paper_of,
    score_lines,
    scoreboard,
    summary,
)

GOOD = three_rounds([0.90, 0.90, 0.90], [0.91, 0.911, 0.912])
BAD = three_rounds([0.91, 0.911, 0.912], [0.90, 0.90, 0.90])


def of(recipe: str, judged: Judged) -> Judged:
    return dataclasses.replace(judged, recipe=recipe)


def test_papers_in_their_order_then_others() -> None:
    names = ("mine.yaml", "jackpots/vgg-19", "lth/conv-2", "grasp/x", "data-dependent/x")
    board = scoreboard([unjudged(claim(), name, "not run", "") for name in names])
    assert [paper.paper for paper in board.papers] == [
        "LTH", "GraSP", "Data-dependent", "Jackpots", "mine.yaml"]  # fmt: skip
    assert paper_of(unjudged(claim(paper="GraSP"), "lth/x", "not run", "")) == "GraSP"
    assert paper_of(unjudged(claim(), "stabilizing/lenet", "not run", "")) == "Stabilizing"


def test_counts_numbers_and_chance() -> None:
    judged = [verdict(GOOD, number={"mean": m, "n": 3}) for m in (0.011, 5.0)]
    judged += [verdict(BAD), verdict(made.results([]))]
    board = scoreboard([of("lth/x", one) for one in judged])
    (paper,) = board.papers
    assert paper.counts == {"confirmed": 2, "contradicted": 1, "not run": 1}
    assert paper.numbers == (1, 2)
    assert summary(paper) == ("2 confirmed, 1 contradicted, 1 not run; numbers reproduced: 1 of 2")
    assert (board.decided, board.expected_false) == (3, pytest.approx(0.15))
    twenty = scoreboard([verdict(GOOD)] * 30)
    assert "30 decided at 95 %" in chance(twenty)
    assert "expected to get 1.5 of them wrong" in chance(twenty)


def test_small_scales_and_misprints_do_not_count_as_decided() -> None:
    kinds = ("seen", "not seen", "paper inconsistent", "no data", "undecided")
    board = scoreboard([unjudged(claim(), "lth/x", kind, "") for kind in kinds])
    assert board.decided == board.expected_false == 0
    assert summary(board.papers[0]) == (
        "1 undecided, 1 no data, 1 paper inconsistent, 1 seen, 1 not seen"
    )


def test_a_line_has_every_column() -> None:
    found = verdict(GOOD, place="section 2", number={"mean": 0.011, "n": 3})
    (line,) = score_lines(scoreboard([found]).papers[0])
    told = dict(zip(SCORE_HEAD, line, strict=True))
    assert told["verdict"] == "confirmed"
    assert told["claim"] == "made-up"
    assert told["what it says"] == "it holds (section 2)"
    assert told["ours [95 %]"].startswith("+0.011 [")
    assert told["expected"] == "≥ 0"
    assert "reproduced" in told["the paper's number"]
    assert (told["n"], told["n needed"], told["why"]) == ("3", "", "")
