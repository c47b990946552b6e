"""What is compared with what, on which numbers, and the two ways to judge it, by hand."""

from __future__ import annotations

import dataclasses

import pytest
import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, TICKET
from winnow.report.contrasts import (
    Contrast,
    accurate,
    contrast,
    contrasts,
    early,
    has_one_replicate,
    iteration_at,
    judgement,
    meets_rule,
)
from winnow.report.results import Results, Row
from winnow.report.statistics import Difference, Interval

WITHOUT_STOPPING = {"train": {"early_stopping": False}}


def pairs(results: Results) -> list[tuple[str, str]]:
    return [(one.subject, one.reference) for one in contrasts(results)]


def test_every_arm_of_rounds_is_compared() -> None:
    """Each control with the arm that it checks, each way of finding with dense and the ticket."""
    rows = made.sweep({arm.name: [[0.9, 0.91]] for arm in OF_ROUNDS})
    assert pairs(made.results(rows)) == [
        ("ticket", "dense"),
        ("ticket", "reinit"),
        ("ticket", "random"),
        ("ticket", "random-reinit"),
        ("ticket", "one-shot"),
        ("ticket", "continued"),
        ("one-shot", "dense"),
        ("one-shot", "one-shot-reinit"),
        ("continued", "dense"),
    ]


def test_random_reinit_alone_is_compared_with_the_ticket() -> None:
    """As ``-o controls.random-reinit=1`` without other controls asks for."""
    rows = made.sweep({"ticket": [[0.9, 0.95]], "random-reinit": [[0.91]]})
    assert pairs(made.results(rows)) == [("ticket", "dense"), ("ticket", "random-reinit")]
    (difference,) = contrasts(made.results(rows))[1].accuracy
    assert (difference.subject, difference.reference) == (0.95, 0.91)


def test_names_do_not_matter() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.95]], "b-reinit": [[0.91]], "a": [[0.92]]})
    found = made.method("x", "b-reinit", "one-shot")
    check = dataclasses.replace(made.control(TICKET, "random"), name="a", of="b-reinit")
    assert pairs(made.results(rows, arms=(TICKET, found, check))) == [
        ("ticket", "dense"), ("ticket", "b-reinit"), ("b-reinit", "dense"), ("b-reinit", "a")
    ]  # fmt: skip


def test_a_contrast_is_subject_minus_reference_on_the_recipes_metric() -> None:
    def rows(arm: str, number: int, *values: float) -> list[Row]:
        stop, end, iteration = values
        return [
            made.row(arm=arm, round=number, density=0.5**number, replicate=k,
                     stop_test_accuracy=stop + k / 100, final_test_accuracy=end + k / 10,
                     stop_iteration=int(iteration) + k)
            for k in (1, 2)
        ]  # fmt: skip

    made_up = [*rows("ticket", 0, 0.5, 0.1, 700), *rows("ticket", 1, 0.625, 0.2, 500)]
    made_up += rows("reinit", 1, 0.5625, 0.4, 900)
    results = made.results(made_up)
    for reference, change, later in (("dense", 0.125, -200), ("reinit", 0.0625, -400)):
        one = contrast(results, "ticket", reference)
        assert (one.subject, one.reference) == ("ticket", reference)
        assert [(d.density_total, d.n) for d in one.accuracy] == [(0.5, 2)]
        assert [d.mean for d in one.accuracy] == [pytest.approx(change)]
        assert one.iteration is not None
        assert [d.mean for d in one.iteration] == [later]
    ended = contrast(made.results(made_up, recipe=WITHOUT_STOPPING), "ticket", "reinit")
    assert ended.iteration is None
    assert [d.mean for d in ended.accuracy] == [pytest.approx(-0.2)]


def difference(mean: float = 0.0, *, density: float = 0.5, n: int = 3, **ends: float) -> Difference:
    interval = Interval(**ends) if ends else None
    return Difference(density, n, mean, 0.0, mean, interval)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "open"), (0, 1, "open"),
     (-1, 0, "open"), (0, 0, "open")],
)  # fmt: skip
def test_an_interval_that_leaves_out_zero_decides(low: float, high: float, said: str) -> None:
    change = difference(0.1, low=low, high=high)
    opposite = {"better": "worse", "worse": "better", "open": "open"}
    assert judgement(change) == said
    assert judgement(change, larger_is_better=False) == opposite[said]
    assert judgement(difference(0.1)) == "open"


def test_the_rule_takes_both_halves_in_means() -> None:
    """The densities, from the largest: both, accuracy alone, early stopping alone, neither; then
    one without iterations, and one whose accuracies are equal but for rounding.
    """
    accuracy = (0.01, 0.01, -0.01, -0.01, 0.01, -1e-15)
    iterations = (-5.0, 5.0, 0.0, 0.5, None, 0.0)
    densities = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    one = Contrast(
        "ticket",
        "dense",
        tuple(difference(a, density=d) for a, d in zip(accuracy, densities, strict=True)),
        tuple(
            difference(i, density=d)
            for i, d in zip(iterations, densities, strict=True)
            if i is not None
        ),
    )
    assert [place for place in range(6) if meets_rule(one, place)] == [0, 5]
    assert accurate(one) == [0, 1, 4, 5]
    assert early(one) == [0, 2, 5]
    change = iteration_at(one, 5)
    assert change is not None
    assert (change.density_total, change.mean) == (0.4, 0.0)
    assert iteration_at(one, 4) is None
    without = dataclasses.replace(one, iteration=None)
    assert [place for place in range(6) if meets_rule(without, place)] == [0, 1, 4, 5]
    assert early(without) == list(range(6))


def test_equal_means_win() -> None:
    rows = made.sweep({"ticket": [[0.1 + 0.2, 0.3]]}, {"ticket": [[100, 100]]})
    assert meets_rule(contrast(made.results(rows), "ticket", "dense"), 0)
    rows = made.sweep({"ticket": [[0.3, 0.2999]]}, {"ticket": [[100, 100]]})
    assert not meets_rule(contrast(made.results(rows), "ticket", "dense"), 0)


@pytest.mark.parametrize(("counts", "single"), [((1, 1), True), ((1, 2), False), ((3,), False)])
def test_two_replicates_at_any_density_are_more_than_one(
    counts: tuple[int, ...], single: bool
) -> None:
    one = Contrast("ticket", "dense", tuple(difference(n=n) for n in counts), None)
    assert has_one_replicate(one) == single
