from __future__ import annotations

import dataclasses

import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS
from winnow.report.contrasts import contrast, meets_rule
from winnow.report.results import Results
from winnow.report.statement import Statement
from winnow.report.verdict import verdict, verdict_text


def said(results: Results, heading: str) -> str:
    """The sentences of the one statement whose heading starts so."""
    (found,) = [one for one in verdict(results) if one.heading.startswith(heading)]
    return " ".join(found.sentences)


def winning() -> Results:
    """Four replicates: round 1 wins clearly, round 2 is unclear, round 3 loses."""
    accuracy = [
        [0.970, 0.980, 0.971, 0.900],
        [0.960, 0.971, 0.958, 0.891],
        [0.980, 0.989, 0.982, 0.911],
        [0.965, 0.9755, 0.9640, 0.8955],
    ]
    stops = [
        [1000, 700, 900, 400],
        [1100, 820, 980, 510],
        [900, 590, 830, 330],
        [950, 655, 840, 360],
    ]
    return made.results(made.sweep({"ticket": accuracy}, {"ticket": stops}))


def test_a_clear_winner() -> None:
    rule = said(winning(), "ticket against dense: the paper's rule")
    assert "Winning tickets at 50.0, 25.0 % of all weights" in rule
    assert "means over 4 replicates" in rule
    # Means at 25 %: 0.96875 and 0.96875; stops 887.5 and 987.5.
    assert "The smallest of them keeps 25.0 %: test accuracy 96.88 % against 96.88 %" in rule
    assert "iteration 888 against 988, 10 % sooner" in rule


def test_the_interval_is_a_statement_of_its_own() -> None:
    paired = said(winning(), "ticket against dense: paired 95 % intervals")
    assert "paired over 4 replicates" in paired
    assert "corrected for 3 densities (Bonferroni)" in paired
    assert "better at 50.0 % (+1.01 [" in paired
    assert "not distinguishable at 25.0 % (+0.00 [" in paired
    assert "worse at 12.5 % (-6.94 [" in paired
    assert "Early stopping: sooner at" in paired


def test_the_numbers_behind_the_words() -> None:
    (statement,) = [one for one in verdict(winning()) if "paired" in one.heading]
    assert statement.numbers[0][:4] == ("density_total %", "n", "ticket", "dense")
    assert len(statement.numbers) == 4
    assert statement.numbers[1][:4] == ("50.00", "4", "97.89", "96.88")


def test_a_loser_is_called_one_and_the_halves_are_told() -> None:
    rows = made.sweep(
        {"ticket": [[0.9, 0.95, 0.8], [0.91, 0.94, 0.82]]},
        {"ticket": [[100, 200, 50], [100, 300, 60]]},
    )
    rule = said(made.results(rows), "ticket against dense: the paper's rule")
    assert "No winning ticket at any density (50.0, 25.0 %)" in rule
    assert "Accuracy: 50.0; Early stopping: 25.0" in rule


def test_equal_means_win() -> None:
    rows = made.sweep({"ticket": [[0.1 + 0.2, 0.3]]}, {"ticket": [[100, 100]]})
    assert meets_rule(contrast(made.results(rows), "ticket", "dense"), 0)
    rows = made.sweep({"ticket": [[0.3, 0.2999]]}, {"ticket": [[100, 100]]})
    assert not meets_rule(contrast(made.results(rows), "ticket", "dense"), 0)


def test_one_replicate_is_never_a_claim() -> None:
    text = verdict_text(verdict(made.results(made.sweep({"ticket": [[0.9, 0.95]]}))))
    assert "One replicate meets it at 50.0 %" in text
    assert "says nothing about chance" in text
    assert "no interval, so nothing can be called better or worse" in text
    assert "Winning" not in text


def test_equal_differences_give_no_interval() -> None:
    rows = made.sweep({"ticket": [[0.5, 0.625], [0.25, 0.375]]})
    paired = said(made.results(rows), "ticket against dense: paired")
    assert "better nowhere" in paired
    assert "At 50.0 % all replicates differ by the same number" in paired


def test_controls_get_the_same_two_statements() -> None:
    headings = [one.heading for one in verdict(made.paper_like(replicates=2, rounds=4))]
    assert headings == [
        "ticket against dense: the paper's rule",
        "ticket against dense: paired 95 % intervals",
        "ticket against reinit: the paper's rule",
        "ticket against reinit: paired 95 % intervals",
        "ticket against random: the paper's rule",
        "ticket against random: paired 95 % intervals",
        "ticket against one-shot",
        "one-shot against dense: the paper's rule",
        "one-shot against dense: paired 95 % intervals",
    ]


def test_a_clear_difference_from_a_control() -> None:
    results = made.paper_like()
    assert "at 80.0 to 2.3 %" in said(results, "ticket against reinit: the paper's rule")
    paired = said(results, "ticket against reinit: paired")
    assert "Test accuracy: better at" in paired
    assert "worse nowhere" in paired


def test_without_early_stopping_only_the_end_counts() -> None:
    slow = made.sweep({"ticket": [[0.9, 0.95], [0.8, 0.87]]}, {"ticket": [[10, 99], [10, 99]]})
    recipe = {"train": {"early_stopping": False}}
    results = made.results(
        [dataclasses.replace(row, stop_test_accuracy=None) for row in slow], recipe=recipe
    )
    rule = said(results, "ticket against dense: the paper's rule, accuracy only")
    assert "Winning tickets at 50.0 %" in rule
    assert "mean test accuracy at the end" in rule
    assert "no early stopping, so speed is not judged" in rule
    assert "Early stopping:" not in verdict_text(verdict(results))


def test_a_density_with_fewer_replicates_is_named() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.91, 0.92], [0.9, 0.92, 0.93]]})
    results = made.results(rows[:-1])
    assert "25.0 % (n = 1)" in said(results, "ticket against dense: the paper's rule")
    assert "1 to 2 replicates" in said(results, "ticket against dense: paired")


def test_nothing_to_compare_is_said() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.91]]})[1:]
    (statement,) = verdict(made.results(rows))
    assert "Nothing to compare" in statement.sentences[0]
    assert verdict(made.results([])) == ()


def test_every_arm_of_rounds_is_compared() -> None:
    """Each control with the arm that it checks, each way of finding with dense and the ticket."""
    rows = made.sweep({arm.name: [[0.9, 0.91], [0.92, 0.9]] for arm in OF_ROUNDS})
    headings = [one.heading.split(":")[0] for one in verdict(made.results(rows))][::2]
    assert headings == [
        "ticket against dense",
        "ticket against reinit",
        "ticket against random",
        "ticket against random-reinit",
        "ticket against one-shot",
        "ticket against continued",
        "one-shot against dense",
        "one-shot against one-shot-reinit",
        "continued against dense",
    ]


def test_text_wraps_only_when_asked() -> None:
    statement = Statement("Heading", ("word " * 40,))
    assert len(verdict_text([statement]).splitlines()) == 2
    assert max(map(len, verdict_text([statement], 60).splitlines())) <= 60
