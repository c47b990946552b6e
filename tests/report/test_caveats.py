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
