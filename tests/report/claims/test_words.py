"""Numbers of claims in words, by hand."""

from __future__ import annotations

import math

import pytest
import synthetic_report as made
from made_claims import claim, rows, three_rounds, verdict

from winnow.report.claims.judge import judge
from winnow.report.claims.words import (
    expected_in_words,
    number_in_words,
    numbers_of,
    ours_in_words,
    part_in_words,
)

DENSE, TICKET = [0.90, 0.90, 0.90], [0.91, 0.92, 0.93]  # 2 points ± 4.303 · 1 / √3 = 2.48


def test_a_difference_in_points_and_in_the_column() -> None:
    results = three_rounds(DENSE, TICKET)
    points = verdict(results, unit="points")
    assert ours_in_words(points) == "+2.00 [-0.48, +4.48] points at 51.2 %"
    assert ours_in_words(verdict(results)) == "+0.02 [-0.004841, +0.04484] at 51.2 %"


def test_values_ratios_counts_and_crossings() -> None:
    results = three_rounds(DENSE, TICKET)
    alone = verdict(results, compare=["ticket"], unit="points", expect=[90, 93])
    assert ours_in_words(alone) == "92.00 [89.52, 94.48] % at 51.2 %"
    stops = rows({"dense": [[4000, 4000, 4000]], "ticket": [[2000, 1000, 500]]}, "stop_iteration")
    fields = {"of": "stop_iteration", "at": {"density": 80}}
    ratio = verdict(made.results(stops), compare=["dense", "ticket"], **{"as": "ratio"}, **fields)
    half = math.exp(4.3027 * math.log(2) / math.sqrt(3))
    assert ours_in_words(ratio) == f"4 [{4 / half:.3g}, {4 * half:.3g}] times at 80.0 %"
    assert ours_in_words(verdict(made.results(stops), **fields)).startswith("-2,833 [")
    tickets = [[0.91, 0.91, 0.91], [0.89, 0.89, 0.89]]
    crossing = verdict(
        made.results(rows({"dense": [[0.9] * 3], "ticket": tickets})),
        at={"density": 70}, **{"as": "crossing"},
    )  # fmt: skip
    assert ours_in_words(crossing) == "71.6 %"  # all the same: no interval
    assert expected_in_words(crossing) == "within one round of 70 %"


def test_of_several_rounds_how_many_hold_and_the_least_sure_one() -> None:
    arms = {"dense": [[0.9, 0.901, 0.902]], "ticket": [[0.95, 0.952, 0.951], [0.91, 0.93, 0.92]]}
    said = ours_in_words(verdict(made.results(rows(arms)), at={"down_to": 64}, unit="points"))
    assert said.startswith("1 confirmed, 1 undecided; +1.90 [")
    assert said.endswith("at 64.0 %")
    gone = verdict(made.results(rows(arms)), unit="points", any=[
        {"of": "final_test_accuracy", "compare": ["ticket", "dense"], "at": {"density": d},
         "expect": [0, "inf"]} for d in (80, 64, 5)])  # fmt: skip
    text = ours_in_words(gone)
    assert text.startswith("1 confirmed, 1 undecided, 1 not run; +5.00 [")  # of any the surest
    lines = numbers_of(gone)
    assert lines[0] == ("at %", "n", "result [95 %]", "expected", "answer")
    assert [(line[0], line[1], line[4]) for line in lines[1:]] == [
        ("80.0", "3", "confirmed"), ("64.0", "3", "undecided"), ("5.0", "", "not run")]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "≥ 0"),
        ({"expect": ["-inf", 0.35], "unit": "points"}, "≤ 0.35 points"),
        ({"expect": [0.1, 0.5]}, "0.1 to 0.5"),
        ({"same": 0.5, "unit": "points"}, "equal within 0.5 points"),
        ({"same": 0.1, "as": "ratio"}, "equal within a factor 1.1"),
        ({"expect": [2, "inf"], "as": "ratio"}, "≥ 2 times"),
        ({"compare": ["ticket"], "expect": [90, "inf"], "unit": "points"}, "≥ 90 %"),
    ],
)
def test_where_a_claim_wants_its_result(fields, said) -> None:
    assert part_in_words(claim(**fields).parts()[0]) == said


def test_nothing_to_say_without_runs_or_with_a_misprint() -> None:
    none = judge(claim(), made.results([]))
    assert (ours_in_words(none), number_in_words(none)) == ("", "")
    misprint = judge(claim(status="paper inconsistent", reason="x"), made.results([]))
    assert (ours_in_words(misprint), expected_in_words(misprint)) == ("", "")
    assert numbers_of(misprint) == ()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ({"mean": 2.5, "n": 5}, "2.5 (n 5): reproduced, [-1.14, +5.14]"),
        ({"mean": 9, "n": 5, "spread": 0.1, "kind": "se"},
         "9 ± 0.1 (n 5): differs by -7, [-0.52, +4.52]"),
        ({"mean": 9, "n": 3, "spread": [8, 10], "kind": "range"},
         "9 [8, 10] (n 3): differs by -7, [-1.84, +5.84]"),
    ],
)  # fmt: skip
def test_the_papers_number(number, said) -> None:
    """Half widths: 4.303·√(1/3 + 1/5) = 3.14; √(1/3 + 0.01): 2.52; √(1/3 + (2/1.693)²/3): 3.84."""
    found = verdict(three_rounds(DENSE, TICKET), unit="points", number=number)
    assert number_in_words(found) == said


def test_a_number_that_is_not_compared() -> None:
    found = verdict(three_rounds(DENSE[:2], TICKET[:2]), number={"mean": 1, "n": 3})
    assert number_in_words(found) == (
        "1 (n 3): not compared, 3 replicates are the least, and n is 2"
    )
    stops = rows({"dense": [[10, 20, 40]], "ticket": [[20, 40, 81]]}, "stop_iteration")
    ratio = verdict(
        made.results(stops), of="stop_iteration", at={"density": 80}, number={"mean": 4, "n": 5},
        **{"as": "ratio"},
    )  # fmt: skip
    assert "differs by a factor 0.502" in number_in_words(ratio)
