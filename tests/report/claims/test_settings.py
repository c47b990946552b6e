"""Settings of lines and of whole recipes."""

from __future__ import annotations

import synthetic_report as made

from winnow.report.claims.settings import line_setting

RECIPE = {
    "prune": {"rate": 0.2, "rounds": 3},
    "engine": "auto",
    "lines": {"half": {"prune.rate": 0.5}, "none": {"prune": {"rounds": 9}}, "own": {}},
}


def test_a_line_has_its_own_values_and_else_those_of_the_recipe() -> None:
    results = made.results([], recipe=RECIPE)
    said = {line: line_setting(results, line, "prune.rate") for line in ("half", "own", "", "x")}
    assert said == {"half": 0.5, "own": 0.2, "": 0.2, "x": 0.2}
    assert line_setting(results, "half", "prune.rounds") == 3
    assert line_setting(results, "none", "prune.rounds") == 9
    assert line_setting(results, "none", "prune.rate") is None


def test_what_nobody_says_is_none() -> None:
    results = made.results([], recipe=RECIPE)
    assert line_setting(results, "", "train.evaluate") is None
    assert line_setting(results, "", "engine.name") is None
