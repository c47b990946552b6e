from __future__ import annotations

import dataclasses

import synthetic_report as made

from winnow.report.caveats import caveats
from winnow.report.verdict import verdict, verdict_text


def test_diverged_unreachable_and_missing_runs_are_told() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.91, 0.92], [0.9, 0.92, 0.93]]})
    rows[-2] = dataclasses.replace(rows[-2], status="diverged", diverged_at=420)
    rows[-1] = dataclasses.replace(rows[-1], status="unreachable")
    text = " ".join(caveats(made.results(rows, missing=7)))
    assert "1 run diverged; no mean has" in text
    assert "ticket at 50.0 % (replicate 2, iteration 420)" in text
    assert "1 run could not start" in text
    assert "7 runs of the plan not done yet" in text


def test_censored_early_stopping_is_flagged() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.91], [0.9, 0.92]]})
    rows[0] = dataclasses.replace(rows[0], stop_censored=True)
    text = " ".join(caveats(made.results(rows)))
    assert "dense 1 of 2" in text
    assert "comparisons of speed are not safe" in text


def test_censoring_says_nothing_without_early_stopping() -> None:
    rows = [made.row(stop_censored=True)]
    assert caveats(made.results(rows, recipe={"train": {"early_stopping": False}})) == ()


def test_the_verdict_ends_with_them() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.91]]})
    assert "What to keep in mind" in verdict_text(verdict(made.results(rows, missing=1)))
    assert "What to keep in mind" not in verdict_text(verdict(made.results(rows)))


def test_every_sentence_by_hand() -> None:
    """Rows with two densities that differ, in an order that is not that of the arms."""
    lost = {"collapsed": ("b", "a"), "density_total": 0.02, "density": 0.5}
    rows = [
        made.row(arm="random", round=1, replicate=4, status="unreachable"),
        made.row(arm="random", round=2, replicate=5, status="unreachable"),
        made.row(arm="reinit", round=2, **lost),
        made.row(arm="reinit", round=1, **{**lost, "density_total": 0.03, "collapsed": ("c",)}),
        made.row(arm="ticket", round=3, **{**lost, "collapsed": ("a",)}),
        made.row(arm="one-shot", round=1, density=0.6, density_total=0.7, replicate=3,
                 status="diverged", diverged_at=123, stop_censored=True),
        made.row(replicate=7, status="diverged", diverged_at=45),
    ]  # fmt: skip
    assert caveats(made.results(rows, missing=1)) == (
        "2 runs diverged; no mean has them in it, which favours their arm: one-shot at 70.0 % "
        "(replicate 3, iteration 123), dense at 100 % (replicate 7, iteration 45).",
        "Layers that lost all their weights (layer collapse): ticket in 1 run, from 2.0 % down "
        "(a); reinit in 2 runs, from 3.0 % down (a, b, c).",
        "2 runs could not start, as the run that they start from diverged.",
        "Not complete: 1 run of the plan not done yet. The numbers will change.",
    )
    assert caveats(made.results([made.row()])) == ()


def test_censored_runs_are_counted_by_arm_dense_first() -> None:
    rows = [
        made.row(arm="random", round=1, stop_censored=True),
        made.row(arm="reinit", round=1, stop_censored=False),
        *(made.row(round=1, replicate=k, stop_censored=k > 1) for k in range(5)),
        *(made.row(round=0, replicate=k, stop_censored=k > 1) for k in range(3)),
        made.row(round=0, replicate=4, stop_censored=None),
    ]
    (said,) = caveats(made.results(rows))
    assert said == (
        "The validation loss was lowest at the last evaluation (censored) in dense 1 of 4, ticket "
        "3 of 5, random 1 of 1 runs: early stopping would come later there, and comparisons of "
        "speed are not safe."
    )
