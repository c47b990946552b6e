"""The short table of a comparison: its numbers are those of the rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from synthetic_report import method, results, row

from winnow.experiment.arms import TICKET
from winnow.report.method_table import by_method, methods_caption, methods_text
from winnow.report.results import Results
from winnow.report.statistics import t_interval

ARMS = (TICKET, method("snip"), method("grasp", "<a>"), method("imp", kind="iterative"))
RECIPE = {"train": {"early_stopping": False}, "compare": {}}
DENSITIES = (0.5, 0.1)
VALUES = {  # arm → density → replicate
    "imp": ((0.95, 0.96, 0.94), (0.93, 0.92, 0.945)),
    "snip": ((0.91, 0.92, 0.90), (0.80, 0.80, 0.80)),
    "<a>": ((0.90, 0.93, 0.91), (0.51, 0.60, 0.54)),
}
COSTS = {"snip": (4.5, 4.5), "<a>": (4.25, 4.25), "imp": (8.0, 12.0)}


def compared(recipe: dict[str, Any] = RECIPE) -> Results:
    rows = [row(replicate=k, final_test_accuracy=0.96 + k / 100, cost=4.0) for k in range(3)]
    for arm, accuracies in VALUES.items():
        for place, values in enumerate(accuracies):
            rows += [
                row(arm=arm, replicate=k, round=place + 1, density=DENSITIES[place],
                    final_test_accuracy=value, stop_test_accuracy=value - 0.25,
                    cost=COSTS[arm][place])
                for k, value in enumerate(values)
            ]  # fmt: skip
    return results(rows, recipe=recipe, arms=ARMS)


def test_every_entry_is_the_mean_and_the_interval_of_its_rows() -> None:
    found = by_method(compared())
    assert found.densities == DENSITIES
    assert list(found.lines) == ["snip", "<a>", "imp"]
    for arm, line in found.lines.items():
        for place, entry in enumerate(line):
            assert entry is not None
            values = VALUES[arm][place]
            assert entry.mean == pytest.approx(sum(values) / 3)
            assert entry.interval == t_interval(values)
            assert entry.n == 3
    assert found.costs == {"snip": 4.5, "<a>": 4.25, "imp": 12.0}
    assert found.dense is not None
    assert (found.dense.mean, found.dense_cost) == (pytest.approx(0.97), 4.0)


def test_the_text_by_hand() -> None:
    lines = methods_text(by_method(compared())).splitlines()
    assert lines[0].startswith("Test accuracy at the end in %: mean over 3 replicates ± half")
    # t(0.975, 2) / sqrt(3) = 2.4841
    assert lines[1] == "dense: 97.00 ±2.48, 4.0 epochs."
    assert lines[2].split() == ["method", "50.0", "%", "10.0", "%", "epochs", "at", "10.0", "%"]
    assert lines[3].split() == ["snip", "91.00", "±2.48", "80.00", "4.5"]
    assert len({len(line) for line in lines[2:]}) == 1
    assert [line.split()[0] for line in lines[3:]] == ["snip", "<a>", "imp"]
    assert len({line.rindex(".") for line in lines[3:]}) == 1


def test_early_stopping_decides_on_the_accuracy() -> None:
    found = by_method(compared({"compare": {}}))
    entry = found.lines["imp"][0]
    assert entry is not None
    assert entry.mean == pytest.approx(0.70)
    assert "at early stopping" in methods_caption(found)


def test_what_is_missing_is_left_empty_and_fewer_replicates_are_told() -> None:
    whole = compared()
    rows = [one for one in whole.rows if (one.arm, one.round) != ("snip", 2)]
    changed = [
        dataclasses.replace(one, status="diverged")
        if (one.arm, one.round, one.replicate) == ("imp", 2, 0)
        else one
        for one in rows
    ]
    found = by_method(dataclasses.replace(whole, rows=tuple(changed)))
    assert found.lines["snip"][1] is None
    assert found.costs["snip"] is None
    text = methods_text(found)
    assert "fewer in brackets (of 3)" in text
    (imp,) = [line for line in text.splitlines() if line.startswith("imp")]
    assert imp.split() == ["imp", "95.00", "±2.48", "93.25", "±15.88", "(2)", "12.0"]


def test_one_replicate_has_no_interval() -> None:
    one = compared()
    one = dataclasses.replace(one, rows=tuple(r for r in one.rows if r.replicate == 0))
    text = methods_text(by_method(one))
    assert "±" not in text
    assert "mean over 1 replicate. " in text.replace("\n", " ")


def test_without_any_sparse_run_there_is_only_dense() -> None:
    found = by_method(results([row(cost=4.0)], recipe=RECIPE))
    assert (found.densities, found.lines) == ((), {})
    assert methods_text(found).splitlines()[1:] == ["dense: 97.90, 4.0 epochs.", "method"]
    assert "replicates" in methods_text(by_method(results([], recipe=RECIPE)))
