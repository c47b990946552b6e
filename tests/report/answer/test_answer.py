"""The answer in one sentence: every case on made-up rows whose answer is known."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_report import RECIPE, paper_like, results, row, sweep

from winnow.experiment.arms import ORDER, TICKET
from winnow.report.answer import answer
from winnow.report.results import Finding, Results, Row, by_line

NO_STOPPING: dict[str, Any] = {"train": {"early_stopping": False}}
# replicates → dense, 50 %, 25 %, 12.5 %
FALLING = [[0.960, 0.970, 0.957, 0.900], [0.970, 0.982, 0.967, 0.912], [0.965, 0.976, 0.962, 0.905]]
NEW = [[0.950, 0.941, 0.80], [0.962, 0.952, 0.81], [0.957, 0.945, 0.806]]


def rounds(**changes: Any) -> Results:
    return results(sweep({"ticket": FALLING, "reinit": NEW}), **{"recipe": NO_STOPPING, **changes})


# Rounds


def test_rounds_say_what_is_kept_and_what_the_control_does_not() -> None:
    # 25 %: −0.3 points in every replicate; differences to reinit at 12.5 % are 10.0, 10.2, 9.9
    said = answer(rounds())
    assert said.startswith(
        "Tickets keep the dense accuracy (96.5 %) down to 25 % of the weights (-0.3 points "
    )
    assert "; at 12 % they beat the same masks with new initial weights by 10.0 points [" in said
    assert said.endswith("] (3 replicates, 95 % intervals).")


def test_intervals_are_those_of_the_verdict() -> None:
    values = [0.10, 0.102, 0.099]
    mean, spread = sum(values) / 3, 0.00152752523
    t = 7.6488  # Student's, 2 degrees of freedom, two-sided 5 % / 3 densities
    low, high = mean - t * spread / 3**0.5, mean + t * spread / 3**0.5
    assert f"by 10.0 points [{100 * low:.1f}, {100 * high:.1f}]" in answer(rounds())


def test_what_is_kept_everywhere_says_so() -> None:
    up = [[0.96, 0.97], [0.97, 0.981], [0.965, 0.9745]]
    assert answer(results(sweep({"ticket": up}), recipe=NO_STOPPING)) == (
        "Tickets keep the dense accuracy (96.5 %) at every density, down to 50 % of the weights: "
        "+1.0 points [0.8, 1.2] (3 replicates, 95 % intervals)."
    )


def test_what_is_lost_at_once_says_so() -> None:
    down = [[0.96, 0.94], [0.97, 0.951], [0.965, 0.944]]
    assert answer(results(sweep({"ticket": down}), recipe=NO_STOPPING)) == (
        "Tickets lose accuracy from the start: at 50 % of the weights they are 2.0 points below "
        "the dense 96.5 % [1.8, 2.2] (3 replicates, 95 % intervals)."
    )


def test_a_clear_loss_ends_it_even_where_it_is_small() -> None:
    """0.3 points below is tolerated unless the interval says that it is no chance."""
    base = [0.960, 0.970, 0.965]
    loose = [[d, d - 0.003 + e] for d, e in zip(base, (0.004, -0.004, 0.0), strict=True)]
    tight = [[d, d - 0.003 + e] for d, e in zip(base, (0.0001, -0.0001, 0.0), strict=True)]
    assert "keep" in answer(results(sweep({"ticket": loose}), recipe=NO_STOPPING))
    assert "lose accuracy" in answer(results(sweep({"ticket": tight}), recipe=NO_STOPPING))


def test_a_fall_ends_it_for_good() -> None:
    back = [[0.96, 0.97, 0.93, 0.97], [0.97, 0.98, 0.941, 0.98], [0.965, 0.974, 0.936, 0.9741]]
    said = answer(results(sweep({"ticket": back}), recipe=NO_STOPPING))
    assert "down to 50 % of the weights" in said


def test_a_control_that_may_be_equal_says_so() -> None:
    new = [[0.96, 0.94, 0.90], [0.985, 0.98, 0.90], [0.97, 0.96, 0.909]]
    said = answer(results(sweep({"ticket": FALLING, "reinit": new}), recipe=NO_STOPPING))
    assert "they are 0.3 points above the same masks" not in said
    assert "above the same masks with new initial weights, which may be chance [-" in said


def test_a_control_that_wins_says_so() -> None:
    new = [[0.98, 0.97, 0.95], [0.991, 0.981, 0.963], [0.986, 0.977, 0.9549]]
    said = answer(results(sweep({"ticket": FALLING, "reinit": new}), recipe=NO_STOPPING))
    assert "; at 12 % they lose to the same masks with new initial weights by 5.0 points [" in said


def test_random_masks_stand_in_for_reinitialised_ones_and_other_orders_never() -> None:
    made = sweep({"ticket": FALLING, "random": NEW})
    assert "they beat random masks by 10.0 points" in answer(results(made, recipe=NO_STOPPING))
    both = sweep({"ticket": FALLING, "random": NEW, "reinit": NEW})
    assert "the same masks with new initial weights" in answer(results(both, recipe=NO_STOPPING))
    order = sweep({"ticket": FALLING, "order": NEW})
    assert "order" not in answer(results(order, recipe=NO_STOPPING, arms=(TICKET, ORDER)))


def test_two_replicates_show_no_interval_that_says_nothing() -> None:
    two = {"ticket": FALLING[:2], "reinit": NEW[:2]}
    said = answer(results(sweep(two), recipe=NO_STOPPING))
    assert "[" not in said.partition(";")[0]
    assert said.endswith("(2 replicates, too few to rule out chance).")


def test_one_replicate_is_an_observation() -> None:
    alone = {"ticket": FALLING[:1], "reinit": NEW[:1]}
    assert answer(results(sweep(alone), recipe=NO_STOPPING)) == (
        "Tickets keep the dense accuracy (96.0 %) down to 25 % of the weights (-0.3 points); at "
        "12 % they are 10.0 points above the same masks with new initial weights (one replicate: "
        "an observation, which says nothing about chance)."
    )


def test_randomly_pruned_networks_are_no_tickets() -> None:
    recipe = {**NO_STOPPING, "prune": {"criterion": "random"}}
    said = answer(rounds(recipe=recipe))
    assert said.startswith("Randomly pruned networks keep the dense accuracy")


def test_accuracy_is_that_of_the_verdict() -> None:
    made = [replace(one, final_test_accuracy=0.5) for one in sweep({"ticket": FALLING})]
    assert "(96.5 %)" in answer(results(made))
    assert "(50.0 %)" in answer(results(made, recipe=NO_STOPPING))


# Doubt


def test_what_went_wrong_is_counted() -> None:
    lost = row(replicate=9, round=1, density=0.5, status="diverged", diverged_at=7)
    never = [row(replicate=9, round=k, density=0.5**k, status="unreachable") for k in (2, 3)]
    made = sweep({"ticket": FALLING})
    said = answer(results([*made, lost, *never], recipe=NO_STOPPING, missing=12))
    assert said.endswith(
        "(3 replicates, 95 % intervals; 1 run diverged; 2 runs could not start; 12 runs still to "
        "come)."
    )


@pytest.mark.parametrize(("cut", "told"), [(1, False), (2, True), (12, True)])
def test_early_stops_at_the_last_evaluation_count_from_a_tenth_on(cut: int, told: bool) -> None:
    made = [replace(one, stop_censored=k < cut) for k, one in enumerate(sweep({"ticket": FALLING}))]
    said = answer(results(made))
    assert (f"; {cut} of 12 runs were still improving at the end)." in said) == told
    assert "improving" not in answer(results(made, recipe=NO_STOPPING))


# Nothing to compare


def test_nothing_finished_is_told_with_what_is_to_come() -> None:
    assert answer(results([])) == "Nothing to compare is finished yet."
    assert answer(results([], missing=340)) == (
        "Nothing to compare is finished yet (340 runs still to come)."
    )
    dense = results(sweep({"ticket": [[0.96], [0.97]]}), recipe=NO_STOPPING, missing=3)
    assert answer(dense) == (
        "No pruned network is finished yet; the dense one has 96.5 % (2 replicates; 3 runs still "
        "to come)."
    )


def test_networks_that_nobody_prunes_have_their_accuracy() -> None:
    recipe = {**NO_STOPPING, "prune": {"rounds": 0}}
    said = answer(results(sweep({"ticket": [[0.96], [0.97]]}), recipe=recipe))
    assert said == "The dense network has a test accuracy of 96.5 % (2 replicates)."


def test_analyses_alone_are_named() -> None:
    place = {"arm": "ticket", "line": "", "replicate": 1, "draw": 0, "round": 1, "against": None}
    where = {"density": 0.5, "density_total": 0.5, "weights_kept": 10}
    made = [Finding(key=key, **place, **where, rows=()) for key in ("overlap", "overlap", "angle")]
    assert answer(results([], findings=tuple(made))) == (
        "Nothing to compare is trained; finished are the analyses overlap, angle."
    )


# Lines


def lines(values: dict[str, list[list[float]]], **changes: Any) -> Results:
    made: list[Row] = []
    for line, accuracies in values.items():
        made += [replace(one, line=line) for one in sweep({"ticket": accuracies})]
    said = {line: {"train.optimizer.lr": line} for line in values}
    return results(made, recipe={**RECIPE, **NO_STOPPING, "lines": said}, **changes)


FLAT = [[0.96, 0.97, 0.97], [0.97, 0.975, 0.976], [0.965, 0.97, 0.969]]
LOW = [[0.96, 0.97, 0.93], [0.97, 0.975, 0.9], [0.965, 0.97, 0.92]]
GONE = [[0.96, 0.90, 0.89], [0.97, 0.91, 0.9], [0.965, 0.91, 0.89]]


def test_lines_are_ranked_by_what_they_keep() -> None:
    said = answer(lines({"0.4": LOW, "0.1": FLAT, "plain": GONE, "0.2": FLAT}))
    assert said.startswith(
        "Tickets keep their dense accuracy down to 25 % of the weights (lr 0.1 and lr 0.2) and "
        "50 % (lr 0.4); at no density: plain (3 replicates; "
    )


def test_lines_that_keep_all_are_ranked_by_their_last_density() -> None:
    said = answer(lines({"adam": FLAT, "sgd": [[0.97, 0.97, 0.97], *FLAT[1:]]}))
    assert said.startswith(
        "Tickets keep their dense accuracy at every density, down to 25 % of the weights, in both "
        "lines: from 0.7 points above (adam) to 0.3 points above (sgd) (3 replicates; "
    )


def test_many_lines_are_short() -> None:
    every = {f"line-{k}": FLAT if k % 2 else LOW for k in range(20)}
    said = answer(lines(every))
    assert "25 % of the weights (10 lines) and 50 % (10 lines)" in said


def test_one_line_alone_is_named_unless_it_is_what_was_asked_for() -> None:
    found = lines({"adam": FLAT})
    said = answer(found)
    assert said.startswith("adam: tickets keep the dense accuracy (96.5 %) at every density, down")
    (part,) = by_line(found)
    assert f"adam: t{answer(part)[1:]}" == said


def test_lines_without_anything_are_told() -> None:
    nothing = lines({})
    assert answer(nothing) == "Nothing to compare is finished yet."
    assert answer(lines({"a": [[0.9]], "b": [[0.8]]})) == (
        "The dense networks have test accuracies of 90.0 % (a) and 80.0 % (b) (1 replicate)."
    )
    assert answer(lines({"a": GONE, "b": GONE})).startswith(
        "Tickets lose accuracy from the start in both lines ("
    )


# Properties


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_the_numbers_of_replicates_change_nothing(seed: int) -> None:
    found = paper_like(replicates=3, rounds=5)
    generator = random.Random(seed)
    renamed = dict(zip((1, 2, 3), generator.sample(range(100), 3), strict=True))
    rows = [replace(one, replicate=renamed[one.replicate]) for one in found.rows]
    generator.shuffle(rows)
    assert answer(replace(found, rows=tuple(rows))) == answer(found)


@given(
    kept=st.integers(0, 6),
    depth=st.integers(1, 6),
    gap=st.floats(0.006, 0.3),
    base=st.floats(0.5, 0.9),
    replicates=st.integers(1, 5),
)
def test_a_planted_density_is_found(
    kept: int, depth: int, gap: float, base: float, replicates: int
) -> None:
    """Rounds after the planted one lie clearly below dense, those before it above."""
    number = min(kept, depth)
    line = [base] + [base + 0.01 if k <= number else base - gap for k in range(1, depth + 1)]
    made = [
        [one + 0.001 * k + 0.0001 * ((7 * k + 3 * place) % 5) for place, one in enumerate(line)]
        for k in range(replicates)
    ]
    said = answer(results(sweep({"ticket": made}), recipe=NO_STOPPING))
    if number == 0:
        assert "lose accuracy from the start: at 50 %" in said
    else:
        density = {1: "50 %", 2: "25 %", 3: "12 %", 4: "6.2 %", 5: "3.1 %", 6: "1.6 %"}[number]
        assert f"down to {density} of the weights" in said
        assert ("at every density" in said) == (number == depth)
