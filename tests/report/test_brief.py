"""The brief report: the answer and its table by hand, on made-up rows."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from synthetic_report import method, paper_like, results, row, sweep

from winnow.experiment.arms import TICKET
from winnow.report.answer import answer
from winnow.report.brief import brief_text
from winnow.report.brief_table import brief_table_text, few_densities
from winnow.report.density_table import by_density
from winnow.report.results import Results
from winnow.report.verdict import main_verdict, verdict

NO_STOPPING = {"train": {"early_stopping": False}}
TWO = {  # replicates → dense, 50 %, 25 %
    "ticket": [[0.960, 0.970, 0.90], [0.970, 0.982, 0.909]],
    "reinit": [[0.950, 0.80], [0.952, 0.81]],
}
STOPS = {"ticket": [[400, 300, 900], [600, 500, 900]]}


def table_lines(found: Results) -> list[list[str]]:
    """The cells of the small table, caption first; two blanks and more part them."""
    text = brief_table_text(few_densities(by_density(found)))
    return [re.split(r"\s{2,}", line) for line in text.splitlines()]


# The table


def test_six_densities_are_spread_over_the_sweep_with_both_ends() -> None:
    found = few_densities(by_density(paper_like()))
    rounds = [0, 3, 7, 10, 14, 17]
    assert [line.density_total for line in found.lines] == pytest.approx([0.8**k for k in rounds])
    assert [line.is_dense for line in found.lines] == [True] + [False] * 5
    short = few_densities(by_density(paper_like(rounds=3)))
    assert [line.density_total for line in short.lines] == pytest.approx([1, 0.8, 0.64, 0.512])


def test_every_number_is_a_mean_of_its_rows() -> None:
    caption, *lines = table_lines(results(sweep(TWO)))
    assert caption == ["Test accuracy at early stopping in %, mean over 2 replicates:"]
    assert lines == [
        ["weights", "ticket", "reinit"],
        ["100 % (dense)", "96.50"],
        ["50.0 %", "97.60", "95.10"],
        ["25.0 %", "90.45", "80.50"],
    ]


def test_accuracy_is_read_where_the_recipe_says() -> None:
    rows = [
        row(replicate=1, round=k, density=0.5**k, stop_test_accuracy=0.7, final_test_accuracy=0.9)
        for k in (0, 1)
    ]
    for recipe, accuracy in (({}, "70.00"), (NO_STOPPING, "90.00")):
        text = brief_table_text(few_densities(by_density(results(rows, recipe=recipe))))
        assert text.count(accuracy) == 2


def test_draws_are_averaged_within_a_replicate_and_fewer_replicates_are_told() -> None:
    rows = sweep({"ticket": [[0.96, 0.97], [0.97, 0.98], [0.95, 0.96]]})
    draws = [(1, 1, 0.80), (1, 2, 0.90), (2, 1, 0.95)]
    rows += [
        row(arm="reinit", replicate=k, draw=draw, round=1, density=0.5, stop_test_accuracy=value)
        for k, draw, value in draws
    ]
    text = brief_table_text(few_densities(by_density(results(rows))))
    assert "mean over 3 replicates, fewer in brackets (of 3):" in text
    assert text.splitlines()[-1].split()[-3:] == ["97.00", "90.00", "(2)"]


def test_an_arm_of_other_densities_is_named_below() -> None:
    rows = sweep({"ticket": [[0.96, 0.97, 0.95, 0.9]]})
    rows += [row(arm="one-shot", replicate=1, round=k, density=1 - 0.3 * k) for k in (1, 2)]
    text = brief_table_text(few_densities(by_density(results(rows))))
    assert text.splitlines()[1].split() == ["weights", "ticket"]
    assert text.splitlines()[-1] == "one-shot: at other densities, on the page"


def test_columns_are_aligned_and_fit_a_terminal() -> None:
    text = brief_table_text(few_densities(by_density(paper_like())))
    _, header, *lines, elsewhere = text.splitlines()
    assert len(lines) == 6
    assert elsewhere == "one-shot: at other densities, on the page"
    assert max(map(len, text.splitlines())) <= 80
    ends = [header.index(arm) + len(arm) for arm in ("ticket", "reinit", "random")]
    for line in lines[1:]:
        assert [found.end() for found in re.finditer(r"\d\d\.\d\d", line)] == ends
    assert re.search(r"\d\d\.\d\d", lines[0]).end() == ends[0]


# The whole


def test_what_is_in_no_mean_is_noted_and_other_caveats_are_not() -> None:
    lost = row(replicate=3, round=1, density=0.5, status="diverged", diverged_at=7)
    never = row(replicate=3, round=2, density=0.25, status="unreachable")
    cut = [row(**{**vars(one), "stop_censored": True}) for one in sweep(TWO)]
    text = brief_text(results([*cut, lost, never], missing=2))
    notes = [line for line in text.splitlines() if line.startswith("note: ")]
    assert [note[6:40] for note in notes] == [
        "1 run diverged; no mean has them i",
        "1 run could not start, as the run ",
        "Not complete: 2 runs of the plan n",
    ]
    assert "censored" not in text
    assert "censored" in str(verdict(results(cut)))


def test_sentences_are_wrapped_where_there_is_a_width_and_the_table_never() -> None:
    found = paper_like()
    whole, wrapped = brief_text(found), brief_text(found, 60)
    assert " ".join(whole.split()) == " ".join(wrapped.split())
    assert max(map(len, wrapped.split("\n\n")[0].splitlines())) <= 60
    assert len(whole.split("\n\n")[0].splitlines()) == 1
    assert whole.split("\n\n")[1] == wrapped.split("\n\n")[1]


def compared(**changes: Any) -> Results:
    arms = (TICKET, method("random"), method("snip"), method("imp", "best", kind="iterative"))
    values = {
        "random": [(0.90, 0.50), (0.92, 0.52)],
        "snip": [(0.91, 0.70), (0.92, 0.72)],
        "best": [(0.95, 0.901), (0.96, 0.922)],
    }
    rows = [row(replicate=k, stop_test_accuracy=0.98, cost=4.0) for k in (0, 1)]
    rows += [
        row(arm=arm, replicate=k, round=place + 1, density=(0.5, 0.1)[place],
            stop_test_accuracy=value, cost=4.0)
        for arm, replicates in values.items()
        for k, accuracies in enumerate(replicates)
        for place, value in enumerate(accuracies)
    ]  # fmt: skip
    return results(rows, **{"recipe": {"compare": {}}, "arms": arms, **changes})


def test_methods_have_the_answer_then_their_table() -> None:
    sentence, table = brief_text(compared()).split("\n\n")
    assert sentence == answer(compared())
    assert sentence.startswith("At 10 % of the weights best is the most accurate of 3 methods with")
    assert table.splitlines()[2].split()[0] == "method"


def test_lines_have_one_answer_and_a_table_each() -> None:
    made = [replace(one, line=line) for line in ("a", "b") for one in sweep(TWO)]
    found = results(made, recipe={"lines": {"a": {}, "b": {}}}, missing=3)
    sentence, first, second, note = brief_text(found).split("\n\n")
    assert sentence == answer(found)
    assert (first.splitlines()[0], second.splitlines()[0]) == ("line a", "line b")
    assert first.splitlines()[1:] == second.splitlines()[1:]
    assert note == "note: Not complete: 3 runs of the plan not done yet. The numbers will change."


# What --full prints of the verdict


def test_the_main_verdict_is_on_tickets_against_dense_and_reinit() -> None:
    found = paper_like()
    headings = [statement.heading for statement in main_verdict(found)]
    assert headings == [
        f"ticket against {reference}: {what}"
        for reference in ("dense", "reinit")
        for what in ("the paper's rule", "paired 95 % intervals")
    ]
    assert set(main_verdict(found)) < set(verdict(found))
    assert main_verdict(compared()) == verdict(compared())
    cut = results([row(**{**vars(one), "stop_censored": True}) for one in sweep(TWO)])
    assert main_verdict(cut)[-1].heading == "What to keep in mind"
