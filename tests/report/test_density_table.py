from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, Arm
from winnow.report.density_table import by_density, table_text
from winnow.report.results import Row


def test_one_line_for_each_density() -> None:
    table = by_density(made.paper_like(replicates=2, rounds=3))
    assert table.arms == ("ticket", "reinit", "random", "one-shot")
    densities = [round(line.density_total, 3) for line in table.lines]
    assert densities == sorted(densities, reverse=True)
    assert {1.0, 0.8, 0.64, 0.512}.issubset(densities)
    assert len(densities) == 4 + 10
    eighty = table.lines[densities.index(0.8)]
    assert set(eighty.cells) == {"ticket", "reinit", "random"}


def test_numbers_by_hand() -> None:
    rows = made.sweep(
        {"ticket": [[0.90, 0.80], [0.92, 0.83]]}, {"ticket": [[100, 1200], [300, 1400]]}
    )
    lines = table_text(by_density(made.results(rows))).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [
        "100.00", "100.00", "266,200", "0", "dense", "2",
        "200", "[100–300]", "91.00", "[90.00–92.00]", "91.00", "[90.00–92.00]",
    ]  # fmt: skip
    assert lines[2].split()[:8] == [
        "50.00", "50.00", "133,100", "1", "ticket", "2", "1,300", "[1,200–1,400]"
    ]  # fmt: skip


def test_text_is_never_wrapped_or_shortened() -> None:
    long = "an-arm-with-a-name-that-is-longer-than-eighty-columns-" * 3
    rows = [made.row(), made.row(arm=long, round=1, density=0.5)]
    text = table_text(by_density(made.results(rows, arms=(*OF_ROUNDS, Arm(long, "one-shot")))))
    assert len(text.splitlines()) == 3
    assert long in text
    assert "…" not in text


def test_two_rounds_of_one_arm_never_share_a_line() -> None:
    rows = [made.row(round=number, density=0.995**number) for number in range(4)]
    assert len(by_density(made.results(rows)).lines) == 4


def test_one_shot_joins_the_line_of_the_same_density() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8]]})
    rows.append(made.row(arm="one-shot", round=3, density=0.5001))
    lines = by_density(made.results(rows)).lines
    assert [set(line.cells) for line in lines] == [{"ticket"}, {"ticket", "one-shot"}]


def test_diverged_and_censored_runs_show() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8], [0.9, 0.8]]})
    rows[1] = dataclasses.replace(rows[1], status="diverged")
    rows[0] = dataclasses.replace(rows[0], stop_censored=True)
    lines = table_text(by_density(made.results(rows))).splitlines()
    assert "≥ 8,000" in lines[1]
    assert "1, 1 diverged" in lines[2]


def test_without_early_stopping_there_are_no_such_columns() -> None:
    recipe = {"train": {"early_stopping": False}}
    text = table_text(by_density(made.results(made.sweep({"ticket": [[0.9, 0.8]]}), recipe=recipe)))
    assert "stop" not in text
    assert "final test accuracy %" in text


def distinct(**changes: Any) -> Row:
    """A run whose every number is another."""
    numbers = {
        "round": 3,
        "density": 0.4321,
        "density_total": 0.4567,
        "weights_kept": 98_765,
        "iterations": 5000,
        "stop_iteration": 1234,
        "stop_validation_loss": 0.21,
        "stop_validation_accuracy": 0.61,
        "stop_test_accuracy": 0.62,
        "stop_train_accuracy": 0.63,
        "final_validation_accuracy": 0.71,
        "final_test_accuracy": 0.72,
        "final_train_accuracy": 0.73,
        "seconds": 33.0,
        "cost": 6.25,
    }
    return made.row(**{**numbers, **changes})


def test_every_column_of_the_text_by_hand() -> None:
    rows = [
        distinct(),
        distinct(replicate=2, stop_iteration=1235, stop_test_accuracy=0.64),
        distinct(replicate=3, status="diverged"),
        distinct(arm="one-shot", round=5, cost=None, stop_censored=True),
    ]
    header, ticket, one_shot = table_text(by_density(made.results(rows))).splitlines()
    assert [cell.strip() for cell in header.split("  ") if cell.strip()] == [
        "density_total %", "density %", "weights kept", "round", "arm", "n", "cost in epochs",
        "stop iteration", "stop test accuracy %", "final test accuracy %",
    ]  # fmt: skip
    assert [cell.strip() for cell in ticket.split("  ") if cell.strip()] == [
        "45.67", "43.21", "98,765", "3", "ticket", "2, 1 diverged", "6.2",
        "1,234 [1,234–1,235]", "63.00 [62.00–64.00]", "72.00",
    ]  # fmt: skip
    assert [cell.strip() for cell in one_shot.split("  ") if cell.strip()] == [
        "45.67", "43.21", "98,765", "3", "one-shot", "1", "≥ 1,234", "62.00", "72.00",
    ]  # fmt: skip
    # Names to the left of their column, numbers to the right.
    assert header.index("arm") == ticket.index("ticket") == one_shot.index("one-shot")
    assert len(header) == len(ticket) == len(one_shot)
    assert header.index("round") + 5 == ticket.index(" 3 ") + 2 == one_shot.index(" 3 ") + 2


def test_costs_come_before_accuracies_without_early_stopping_too() -> None:
    recipe = {"train": {"early_stopping": False}}
    header, line = table_text(by_density(made.results([distinct()], recipe=recipe))).splitlines()
    columns = [cell.strip() for cell in header.split("  ") if cell.strip()]
    cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
    shown = dict(zip(columns, cells, strict=True))
    assert shown["cost in epochs"] == "6.2"
    assert shown["final test accuracy %"] == "72.00"


def test_a_run_joins_the_nearest_of_two_lines_that_are_the_same_density() -> None:
    rows = [made.row(round=number, density=density) for number, density in ((1, 0.5), (2, 0.4975))]
    rows.append(made.row(arm="one-shot", round=9, density=0.498))
    lines = by_density(made.results(rows)).lines
    assert [set(line.cells) for line in lines] == [{"ticket"}, {"ticket", "one-shot"}]


def test_the_views_fields_by_hand() -> None:
    rows = [
        distinct(stop_censored=True),
        distinct(replicate=2, stop_censored=True, final_test_accuracy=0.74),
        distinct(replicate=3, draw=1, status="diverged", stop_censored=True),
        distinct(arm="reinit", status="unreachable"),
        distinct(arm="random", density_total=math.nan),
    ]
    table = by_density(made.results(rows))
    assert (table.arms, table.early_stopping, table.costs) == (("ticket",), True, True)
    (line,) = table.lines
    assert (line.round, line.density, line.density_total) == (3, 0.4321, 0.4567)
    assert line.weights_kept == 98_765
    cell = line.cells["ticket"]
    assert (cell.n, cell.diverged, cell.censored, cell.cost, cell.is_dense) == (
        2,
        1,
        2,
        6.25,
        False,
    )
    assert cell.stop_iteration is not None
    assert cell.stop_test_accuracy is not None
    assert cell.final_test_accuracy is not None
    assert cell.stop_iteration.mean == 1234
    assert cell.stop_test_accuracy.mean == 0.62
    assert cell.final_test_accuracy.mean == pytest.approx(0.73)


def test_only_the_dense_network_is_called_dense() -> None:
    """A pruned one of nearly its density shares its line."""
    rows = [made.row(), made.row(arm="one-shot", round=1, density=0.995)]
    (line,) = by_density(made.results(rows)).lines
    assert {arm: cell.is_dense for arm, cell in line.cells.items()} == {
        "ticket": True, "one-shot": False
    }  # fmt: skip
    text = table_text(by_density(made.results(rows))).splitlines()
    assert [words.split()[4] for words in text[1:]] == ["dense", "one-shot"]


def test_a_run_joins_the_line_of_the_nearest_density_of_all_weights() -> None:
    """One percent is the same density; of two that fit, the nearer one."""
    rows = [
        made.row(round=1, density=0.500, density_total=0.6, weights_kept=3),
        made.row(round=2, density=0.503, density_total=0.605, weights_kept=2),
        made.row(arm="one-shot", round=1, density=0.500, density_total=0.6041),
        made.row(arm="one-shot", round=2, density=0.503, density_total=0.6012),
        made.row(arm="random", round=1, density=0.500, density_total=0.62),
    ]
    lines = by_density(made.results(rows)).lines
    assert [(line.density_total, list(line.cells)) for line in lines] == [
        (0.62, ["random"]), (0.605, ["ticket", "one-shot"]), (0.6, ["ticket", "one-shot"])
    ]  # fmt: skip
    assert [line.cells["ticket"].cost for line in lines[1:]] == [None, None]
