from __future__ import annotations

import synthetic_report as made

from winnow.report.results import arms, bars, has_early_stopping, is_dense, methods, owner


def test_arms_have_a_fixed_order_and_unknown_ones_come_last() -> None:
    rows = [made.row(arm=arm) for arm in ("zeta", "random", "ticket", "alpha", "reinit")]
    assert arms(made.results(rows)) == ("ticket", "reinit", "random", "alpha", "zeta")


def test_arms_of_a_comparison_follow_the_recipe() -> None:
    compare = {"methods": [{"name": "snip"}, {"name": "set", "label": "a"}, {"name": "m:own"},
                           {"name": "one-shot"}, {"name": "snip", "label": "snip-2"},
                           {"name": "random"}]}  # fmt: skip
    present = ("random", "snip-2-reinit", "one-shot", "ticket", "own", "a", "snip-shuffled",
               "snip-2", "snip", "left-over")  # fmt: skip
    results = made.results([made.row(arm=arm) for arm in present], recipe={"compare": compare})
    assert arms(results) == (
        "ticket", "snip", "snip-shuffled", "a", "own", "one-shot", "snip-2", "snip-2-reinit",
        "random", "left-over",
    )  # fmt: skip
    assert methods(results) == {
        "snip": "snip", "a": "set", "own": "m:own", "one-shot": "one-shot", "snip-2": "snip",
        "random": "random",
    }  # fmt: skip
    assert owner("snip-2-reinit", methods(results)) == "snip-2"
    assert owner("sniper", methods(results)) is None


def test_only_round_0_of_the_ticket_is_dense() -> None:
    assert is_dense(made.row())
    assert not is_dense(made.row(round=1))
    assert not is_dense(made.row(arm="one-shot", round=0))


def test_the_recipe_decides_on_early_stopping_and_bars() -> None:
    plain = made.results([], recipe={})
    assert has_early_stopping(plain)
    assert bars(plain) == "min-max"
    other = made.results(
        [], recipe={"train": {"early_stopping": False}, "report": {"bars": "interval"}}
    )
    assert not has_early_stopping(other)
    assert bars(other) == "interval"
