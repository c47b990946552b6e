"""The page's tables, cell by cell: the numbers of the rows, of the text tables, of the claims."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import synthetic_report as made
from made_claims import claim, three_rounds, verdict
from made_comparison import COSTS, made_comparison

from winnow.experiment.arms import TICKET
from winnow.report.claims.judge import judge
from winnow.report.claims.score import SCORE_HEAD, score_lines, scoreboard
from winnow.report.density_table import by_density, table_text
from winnow.report.method_table import by_method, methods_text
from winnow.report.page.costs import CostLine
from winnow.report.page.tables import (
    CLAIM_HEAD,
    PageTable,
    claim_tables,
    cost_table,
    density_tables,
    method_table,
    plain_table,
)
from winnow.report.results import Results, Row


def by_label(results: Results) -> dict[str, PageTable]:
    found = {table.label: table for table in density_tables(results)}
    assert all(len(row.cells) == len(t.head) for t in found.values() for row in t.rows)
    return found


def cells(table: PageTable) -> list[tuple[str, ...]]:
    return [row.cells for row in table.rows]


# ---- densities × arms


def distinct(**changes: Any) -> Row:
    """A run whose every number is another."""
    numbers = {
        "round": 3, "density": 0.4321, "density_total": 0.4567, "weights_kept": 98_765,
        "stop_iteration": 1234, "stop_test_accuracy": 0.62, "final_test_accuracy": 0.72,
    }  # fmt: skip
    return made.row(**{**numbers, **changes})


def test_every_cell_by_hand() -> None:
    sparse = {"density": 0.2, "density_total": 0.3, "weights_kept": 45}
    listed = [
        distinct(round=0),
        distinct(**sparse),
        distinct(**sparse, replicate=2, stop_iteration=1235, stop_test_accuracy=0.64),
        distinct(**sparse, arm="reinit", stop_iteration=77, stop_test_accuracy=0.5,
                 final_test_accuracy=0.51),
    ]  # fmt: skip
    found = by_label(made.results(listed))
    assert list(found) == [
        "Test accuracy at early stopping (%)",
        "Early-stopping iteration",
        "Test accuracy at the end (%)",
    ]
    assert {table.head for table in found.values()} == {
        ("weights %", "weights", "ticket", "reinit")
    }
    assert cells(found["Test accuracy at early stopping (%)"]) == [
        ("45.67", "98,765", "62.00 (n 1)", ""),
        ("30.00", "45", "63.00 [62.00–64.00] (n 2)", "50.00 (n 1)"),
    ]
    assert cells(found["Early-stopping iteration"]) == [
        ("45.67", "98,765", "1,234 (n 1)", ""),
        ("30.00", "45", "1,234 [1,234–1,235] (n 2)", "77 (n 1)"),
    ]
    assert cells(found["Test accuracy at the end (%)"])[1][2:] == ("72.00 (n 2)", "51.00 (n 1)")
    for table in found.values():
        assert [row.density for row in table.rows] == pytest.approx([45.67, 30.0])


def test_diverged_and_censored_runs_show() -> None:
    listed = made.sweep({"ticket": [[0.9, 0.8], [0.9, 0.8]]})
    listed[1] = dataclasses.replace(listed[1], status="diverged")
    listed[0] = dataclasses.replace(listed[0], stop_censored=True)
    listed.append(made.row(arm="reinit", round=1, density=0.5, status="diverged"))
    found = by_label(made.results(listed))
    assert cells(found["Early-stopping iteration"]) == [
        ("100.00", "266,200", "≥ 8,000 (n 2)", ""),
        ("50.00", "133,100", "8,000 (n 1, 1 diverged)", "(n 0, 1 diverged)"),
    ]
    accuracy = cells(found["Test accuracy at early stopping (%)"])
    assert accuracy[0][2] == "90.00 (n 2)"


def test_without_early_stopping_there_are_no_such_tables() -> None:
    recipe = {"train": {"early_stopping": False}}
    found = by_label(made.results(made.sweep({"ticket": [[0.9, 0.8]]}), recipe=recipe))
    assert list(found) == ["Test accuracy at the end (%)"]


def test_costs_have_a_table_where_there_are_any() -> None:
    found = by_label(made.results([distinct(cost=6.25), distinct(arm="reinit", cost=None)]))
    assert cells(found["Cost in epochs"]) == [("45.67", "98,765", "6.2 (n 1)", "")]
    assert "Cost in epochs" not in by_label(made.results([distinct()]))


def test_the_numbers_are_those_of_the_text() -> None:
    results = made.paper_like(replicates=2, rounds=3)
    text = table_text(by_density(results))
    found = by_label(results)
    assert [len(table.rows) for table in found.values()] == [14] * 3
    shown = [cell for t in found.values() for row in cells(t) for cell in row[2:] if "[" in cell]
    assert len(shown) > 30
    assert all(cell.removesuffix(" (n 2)") in text for cell in shown)


def test_nothing_done_has_a_table_without_rows() -> None:
    for table in density_tables(made.results([])):
        assert (table.head, table.rows) == (("weights %", "weights"), ())


# ---- methods × densities


def test_methods_have_the_cells_of_the_text() -> None:
    """The columns of the text are parted by two spaces or more."""
    results = made_comparison(lost=[("mine", 0, 2)])
    table = method_table(results)
    assert table.head == ("method", "50.0 %", "10.0 %", "epochs at 10.0 %")
    assert [row.arm for row in table.rows] == [row.cells[0] for row in table.rows]
    lines = methods_text(by_method(results)).splitlines()[-4:]
    for line, row in zip(lines, cells(table), strict=True):
        told = [cell.strip() for cell in line.split("  ") if cell.strip()]
        assert [cell.replace("(n ", "(") for cell in row] == told
    mine = cells(table)[-1]
    assert "(n 4)" in mine[2]
    assert mine[3] == f"{COSTS['mine'] + 2:.1f}"
    assert table.note.startswith("Test accuracy at early stopping in %: mean over 5 replicates")


def test_a_method_without_a_number_there_has_an_empty_cell() -> None:
    arms = (TICKET, made.method("a"), made.method("b"))
    listed = [made.row(arm="a", round=1, density=0.5), made.row(arm="b", round=1, density=0.1)]
    table = method_table(made.results([made.row(), *listed], arms=arms, recipe={"compare": {}}))
    assert cells(table) == [("a", "97.80", ""), ("b", "", "97.80")]
    assert table.head == ("method", "50.0 %", "10.0 %")  # nobody knows a cost


# ---- claims

LONG = "tickets | of <all> kinds win & go on winning"
JUDGED = [
    verdict(
        three_rounds([0.9, 0.9, 0.9], [0.91, 0.911, 0.912]), says=LONG, number={"mean": 1, "n": 3}
    ),
    judge(claim(id="second"), made.results([])),
    judge(claim(id="third"), made.results([], name="grasp/x")),
]


def test_a_table_for_each_paper_has_the_cells_of_the_scoreboard() -> None:
    board = scoreboard(JUDGED)
    tables = claim_tables(JUDGED)
    assert [table.label for table in tables] == [paper.paper for paper in board.papers]
    assert len(tables) == 2
    assert set(CLAIM_HEAD) == set(SCORE_HEAD)
    for table, paper in zip(tables, board.papers, strict=True):
        assert table.head == CLAIM_HEAD
        for row, line in zip(cells(table), score_lines(paper), strict=True):
            told = dict(zip(CLAIM_HEAD, row, strict=True))
            assert told == dict(zip(SCORE_HEAD, line, strict=True))
    assert cells(tables[0])[0][:3] == ("made-up", "confirmed", LONG)


def test_the_last_note_says_what_chance_may_have_got_wrong() -> None:
    first, last = claim_tables(JUDGED)
    assert first.note == "1 confirmed, 1 not run; numbers reproduced: 0 of 1"
    assert last.note.startswith("1 not run")
    assert "1 decided at 95 %" in last.note
    assert claim_tables([]) == ()


def test_lines_become_a_table_with_their_head() -> None:
    table = plain_table("a", [("x", "y"), ("1", "2"), ("3", "4")])
    assert (table.label, table.head, cells(table)) == ("a", ("x", "y"), [("1", "2"), ("3", "4")])
    assert {row.density for row in table.rows} == {None}


# ---- costs


def cost(**changes: Any) -> CostLine:
    usual: dict[str, Any] = {
        "line": "", "arm": "ticket", "density_total": 0.512, "engines": ("dense", "sparse-cpu"),
        "runs": 3, "iterations": 12_345.6, "seconds": 30.04, "speed": 1.234,
        "multiply_adds": 136_294.4, "share": 0.5119,
    }  # fmt: skip
    return CostLine(**{**usual, **changes})


def test_costs_by_hand() -> None:
    table = cost_table([cost(arm="dense", density_total=1.0), cost()])
    assert table.head[:2] == ("arm", "weights %")
    assert cells(table)[1] == (
        "ticket", "51.2", "dense, sparse-cpu", "12,346", "30.0", "1.23 ×", "136,294", "51.2"
    )  # fmt: skip
    assert cells(table)[0][5] == ""  # dense against itself
    assert [(row.density, row.arm) for row in table.rows] == [(100, "dense"), (51.2, "ticket")]


def test_lines_have_a_column_where_there_are_any() -> None:
    table = cost_table([cost(line="low"), cost(line="high", engines=())])
    assert table.head[:2] == ("line", "arm")
    assert [row.cells[0] for row in table.rows] == ["low", "high"]
    assert [row.line for row in table.rows] == ["low", "high"]
    assert all(len(row.cells) == len(table.head) for row in table.rows)


def test_what_is_not_known_is_empty() -> None:
    table = cost_table([cost(speed=None, multiply_adds=None, share=None)])
    assert cells(table)[0][-3:] == ("", "", "")
    small = cost_table([cost(share=0.00123)])
    assert cells(small)[0][-1] == "0.123"
