from __future__ import annotations

import pytest
import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, TICKET, Arm
from winnow.report.results import (
    arms_with_rows,
    bars,
    compared_arms,
    compares,
    control_arms,
    has_early_stopping,
    is_dense,
)

SNIP, FOUND = made.method("snip", "b"), made.method("jackpot", "a", "mask search")
TUNED = Arm("a-fine-tuned", "mask search", "a", "jackpot")
SHUFFLED = made.control(SNIP, "shuffled")


def test_arms_are_those_with_rows_in_the_order_of_the_experiment() -> None:
    rows = [made.row(arm=arm) for arm in ("random-reinit", "random", "ticket", "reinit")]
    names = [arm.name for arm in arms_with_rows(made.results(rows))]
    assert names == ["ticket", "reinit", "random", "random-reinit"]


def test_methods_and_controls_are_what_their_arms_say() -> None:
    arms = (TICKET, SNIP, SHUFFLED, FOUND, TUNED)
    rows = [made.row(arm=arm.name) for arm in reversed(arms)]
    compared = made.results(rows, arms=arms)
    assert compared_arms(compared) == (SNIP, FOUND, TUNED)
    assert control_arms(compared) == (SHUFFLED,)
    assert compared_arms(made.results(rows[-1:], arms=arms)) == ()
    rounds = made.results([made.row(arm=arm.name) for arm in OF_ROUNDS])
    assert compared_arms(rounds) == ()
    names = [arm.name for arm in control_arms(rounds)]
    assert names == ["reinit", "random", "one-shot-reinit", "random-reinit"]


def test_a_row_of_an_unknown_arm_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'zeta'.*no arms of lth/made-up"):
        made.results([made.row(arm="zeta")])


def test_round_0_is_dense() -> None:
    assert is_dense(made.row())
    assert not is_dense(made.row(round=1))


def test_the_recipe_decides_on_early_stopping_and_bars() -> None:
    plain = made.results([], recipe={})
    assert has_early_stopping(plain)
    assert bars(plain) == "min-max"
    assert not compares(plain)
    sections = {"train": {"early_stopping": False}, "report": {"bars": "interval"}, "compare": {}}
    other = made.results([], recipe=sections)
    assert not has_early_stopping(other)
    assert bars(other) == "interval"
    assert compares(other)
