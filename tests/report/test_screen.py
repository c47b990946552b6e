"""What a terminal shows, by hand on made-up rows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from made_comparison import made_comparison
from synthetic_report import RECIPE, paper_like, results, row, sweep

from winnow.report.answer import answer
from winnow.report.bars import BLOCKS
from winnow.report.brief_table import few_densities
from winnow.report.density_table import by_density
from winnow.report.method_table import by_method, methods_text
from winnow.report.results import Results
from winnow.report.screen import screen_text

TWO = {  # replicates → dense, 50 %, 25 %
    "ticket": [[0.96, 0.97, 0.92], [0.97, 0.98, 0.93]],
    "reinit": [[0.95, 0.88], [0.96, 0.89]],
}


def table(found: Results, columns: int = 80, *, blocks: bool = True) -> list[str]:
    return screen_text(found, columns, blocks=blocks).split("\n\n")[1].splitlines()


def test_bars_are_what_is_lost_against_dense() -> None:
    # dense 96.5; 25 %: ticket −4.0, reinit −8.0; 50 %: +1.0, −1.0; the longest bar has 12 columns
    *caption, header, dense, half, quarter = table(results(sweep(TWO)))
    assert " ".join(caption) == (
        "Test accuracy at early stopping in %, mean over 2 replicates; bars: points below dense, "
        "up to 8.0; +: above it"
    )
    assert header.split() == ["weights", "left", "ticket", "reinit", "stops", "at"]
    assert dense.split() == ["100", "%", "(dense)", "96.50", "8,000"]
    assert half.split() == ["50.0", "%", "97.50+", "95.50", "█▌", "8,000"]
    assert quarter.split() == ["25.0", "%", "92.50", "█" * 6, "88.50", "█" * 12, "8,000"]


def test_bars_without_blocks() -> None:
    text = screen_text(results(sweep(TWO)), 80, blocks=False)
    assert text.isascii()
    assert "88.50 " + "#" * 12 in text


@pytest.mark.parametrize("columns", range(40, 161, 10))
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    found = paper_like()
    text = screen_text(found, columns)
    assert max(map(len, text.splitlines())) <= columns
    assert text.split("\n\n")[0].split() == answer(found).split()


def test_arms_that_do_not_fit_are_named() -> None:
    lines = table(paper_like(), 50)
    assert "random" not in lines[2]
    assert lines[-1].startswith("on the page: ")
    assert {"random", "one-shot"} <= set(re.split(r"[:, ]+", lines[-1]))


def test_wide_terminals_have_all_arms_with_bars() -> None:
    lines = table(paper_like(), 160)
    header = next(line for line in lines if line.startswith("weights left"))
    assert {"ticket", "reinit", "random"} <= set(header.split())
    assert any(set(line) & set(BLOCKS) for line in lines)


def test_stops_are_those_of_the_first_arm_and_censored_ones_are_marked() -> None:
    rows = [replace(one, stop_iteration=7000, stop_censored=one.round == 2) for one in sweep(TWO)]
    *_, dense, half, quarter = table(results(rows))
    assert dense.endswith("  7,000")
    assert half.endswith("  7,000")
    assert quarter.endswith(">= 7,000")
    no_stopping = results(rows, recipe={"train": {"early_stopping": False}})
    assert "stops at" not in screen_text(no_stopping, 80)


def test_without_a_dense_network_there_are_no_bars() -> None:
    rows = [one for one in sweep(TWO) if one.round]
    text = screen_text(results(rows), 80)
    assert "bars" not in text
    assert not set(text) & set(BLOCKS)


def test_fewer_replicates_are_told() -> None:
    rows = [*sweep(TWO), row(replicate=3, round=0, density=1.0, stop_test_accuracy=0.965)]
    text = screen_text(results(rows), 80)
    assert "fewer in brackets (of 3)" in " ".join(text.split())
    assert "92.50 (2)" in text


def test_the_table_has_stops_of_the_density_table() -> None:
    found = few_densities(by_density(paper_like()))
    assert all(line.stop is not None and line.stop.n == 5 for line in found.lines)


def test_methods_have_their_own_table() -> None:
    found = made_comparison()
    assert methods_text(by_method(found)) in screen_text(found, 80)


def test_lines_are_under_each_other() -> None:
    made = [replace(one, line="0.1") for one in sweep({"ticket": TWO["ticket"]})]
    made += [
        replace(one, line="0.4", stop_test_accuracy=0.9)
        if one.round == 2
        else replace(one, line="0.4")
        for one in sweep({"ticket": TWO["ticket"]})
    ]
    lines = {name: {"train.optimizer.lr": float(name)} for name in ("0.1", "0.4")}
    *_, header, first, second = table(results(made, recipe={**RECIPE, "lines": lines}))
    assert re.split(r"\s{2,}", header) == [
        *("line", "dense %", "keeps it down to", "smallest", "there %")
    ]
    assert re.split(r"\s{2,}", first)[:5] == ["lr 0.1", "96.50", "50.0 %", "25.0 %", "92.50"]
    assert re.split(r"\s{2,}", second)[:5] == ["lr 0.4", "96.50", "50.0 %", "25.0 %", "90.00"]
    assert len(second) > len(first)


def test_many_lines_are_cut() -> None:
    made = [
        replace(one, line=f"l{k}") for k in range(15) for one in sweep({"ticket": TWO["ticket"]})
    ]
    found = results(made, recipe={**RECIPE, "lines": {f"l{k}": {} for k in range(15)}})
    assert table(found)[-1] == "and 3 lines more, on the page"


def test_nothing_finished_is_one_sentence() -> None:
    assert screen_text(results([]), 80) == "Nothing to compare is finished yet."


def test_failures_are_noted() -> None:
    lost = row(replicate=3, round=1, density=0.5, status="diverged", diverged_at=7)
    text = screen_text(results([*sweep(TWO), lost]), 80)
    assert text.split("\n\n")[-1].startswith("note: 1 run diverged")
