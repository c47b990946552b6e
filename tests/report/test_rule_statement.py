"""The paper's rule in words, sentence by sentence."""

from __future__ import annotations

import synthetic_report as made
from hand_made import change, pair

from winnow.report.contrasts import Contrast
from winnow.report.rule_statement import rule_statement

STOPS = made.results([])
NO_STOPS = made.results([], recipe={"train": {"early_stopping": False}})


def winning(**changes: str) -> Contrast:
    """The accuracy half is met at all densities but 12.5 %, the other one at all but 70 %."""
    densities = (0.9, 0.8, 0.7, 0.25, 0.125)
    accuracy = ((0.951, 0.95), (0.952, 0.95), (0.953, 0.95), (0.9642, 0.9541), (0.92, 0.95))
    iteration = ((1990, 2000), (1980, 2000), (2001, 2000), (1534, 2045.4), (1000, 2000))
    return pair(
        *(change(d, *values) for d, values in zip(densities, accuracy, strict=True)),
        iteration=tuple(change(d, *values) for d, values in zip(densities, iteration, strict=True)),
        **changes,
    )


def test_winning_tickets() -> None:
    statement = rule_statement(STOPS, winning())
    assert statement.heading == "ticket against dense: the paper's rule"
    assert statement.sentences == (
        "Winning tickets at 90.0, 80.0, 25.0 % of all weights: mean test accuracy at early "
        "stopping at least that of dense, and mean early-stopping iteration no later (means over "
        "4 replicates).",
        "The smallest of them keeps 25.0 %: test accuracy 96.42 % against 95.41 % (+1.01 points); "
        "early stopping at iteration 1,534 against 2,045, 25 % sooner.",
    )
    assert statement.numbers == ()


def test_a_control_that_the_ticket_beats_is_named() -> None:
    statement = rule_statement(STOPS, winning(subject="one-shot", reference="one-shot-reinit"))
    assert statement.heading == "one-shot against one-shot-reinit: the paper's rule"
    assert statement.sentences[0].startswith(
        "one-shot meets it at 90.0, 80.0, 25.0 % of all weights: mean test accuracy at early "
        "stopping at least that of one-shot-reinit, and"
    )


def losing(**changes: str) -> Contrast:
    """Each half is met where the other one is not."""
    densities = (0.8, 0.6, 0.4, 0.2)
    accuracy = ((0.96, 0.95), (0.95, 0.95), (0.97, 0.95), (0.94, 0.95))
    iteration = ((2100, 2000), (2100, 2000), (2100, 2000), (1900, 2000))
    return pair(
        *(change(d, *values) for d, values in zip(densities, accuracy, strict=True)),
        iteration=tuple(change(d, *values) for d, values in zip(densities, iteration, strict=True)),
        **changes,
    )


def test_no_winner_and_the_halves() -> None:
    assert rule_statement(STOPS, losing()).sentences == (
        "No winning ticket at any density (80.0 to 20.0 %): it takes mean test accuracy at early "
        "stopping at least that of dense, and mean early-stopping iteration no later (means over "
        "4 replicates).",
        "Each half alone is met at (%): Accuracy: 80.0 to 40.0; Early stopping: 20.0.",
    )
    control = rule_statement(STOPS, losing(subject="one-shot", reference="reinit"))
    assert control.sentences[0].startswith("one-shot does not meet it at any density (80.0 to")


def test_a_half_that_is_met_nowhere() -> None:
    one = pair(change(0.5, 0.9, 0.95), iteration=(change(0.5, 10, 20),))
    assert rule_statement(STOPS, one).sentences[1] == (
        "Each half alone is met at (%): Accuracy: nowhere; Early stopping: 50.0."
    )


def test_without_early_stopping() -> None:
    statement = rule_statement(NO_STOPS, pair(change(0.5, 0.96, 0.95), change(0.2, 0.9, 0.95)))
    assert statement.heading == "ticket against dense: the paper's rule, accuracy only"
    assert statement.sentences == (
        "Winning tickets at 50.0 % of all weights: mean test accuracy at the end at least that of "
        "dense (means over 4 replicates).",
        "The smallest of them keeps 50.0 %: test accuracy 96.00 % against 95.00 % (+1.00 points).",
        "This recipe has no early stopping, so speed is not judged.",
    )
    none = rule_statement(NO_STOPS, pair(change(0.5, 0.9, 0.95)))
    assert len(none.sentences) == 2


def test_a_single_replicate_is_an_observation() -> None:
    one = pair(change(0.5, 0.96, 0.95, n=1), iteration=(change(0.5, 0, 0, n=1),))
    assert rule_statement(STOPS, one).sentences == (
        "One replicate meets it at 50.0 % of all weights: mean test accuracy at early stopping at "
        "least that of dense, and mean early-stopping iteration no later (means over 1 replicate).",
        "The smallest of them keeps 50.0 %: test accuracy 96.00 % against 95.00 % (+1.00 points); "
        "early stopping at iteration 0 against 0.",
        "One replicate: an observation, which says nothing about chance.",
    )


def test_fewer_replicates_are_named() -> None:
    one = pair(*(change(density, 0.9, 0.95, n=n) for density, n in ((0.5, 4), (0.3, 3), (0.1, 1))))
    assert rule_statement(STOPS, one).sentences[-1] == (
        "Fewer replicates have both sides at 30.0 % (n = 3), 10.0 % (n = 1)."
    )
    assert "(means over 4 replicates)" in rule_statement(STOPS, one).sentences[0]


def test_the_first_iteration_is_a_reference_too() -> None:
    """No percentage of an iteration that is zero, and one of the iteration 1."""

    def sooner(reference: float) -> str:
        one = pair(change(0.5, 0.9, 0.9), iteration=(change(0.5, 0.5, reference),))
        return rule_statement(STOPS, one).sentences[1]

    assert sooner(1).endswith("early stopping at iteration 0 against 1, 50 % sooner.")
