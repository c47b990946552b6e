"""What figures against density show: which arms, in which panels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, TICKET, Arm
from winnow.report.results import Results, Row
from winnow.report.series import (
    Panel,
    Series,
    control_panels,
    method_panels,
    random_masks,
    shown_series,
)
from winnow.report.statistics import points

METRIC = "final_test_accuracy"
SNIP, NOISE, JACKPOT = (
    made.method("snip"),
    made.method("random", "noise"),
    made.method("jackpot", kind="mask search"),
)
TUNED = replace(JACKPOT, name="tuned", of="jackpot")
SHUFFLED, INVERTED = made.control(SNIP, "shuffled"), made.control(SNIP, "inverted")
ARMS = (TICKET, JACKPOT, TUNED, SNIP, SHUFFLED, INVERTED, NOISE)


def compared(arms: tuple[Arm, ...] = ARMS, without: tuple[Arm, ...] = ()) -> Results:
    """Two densities of every arm, but for those without the metric."""
    rows: list[Row] = [made.row()]
    for arm in arms[1:]:
        value = None if arm in without else 0.9
        rows += [
            made.row(arm=arm.name, round=k, density=0.5**k, final_test_accuracy=value)
            for k in (1, 2)
        ]
    return made.results(rows, arms=arms, recipe={"compare": {}})


def names(series: tuple[Series, ...]) -> list[str]:
    return [line.arm.name for line in series]


def labels(panels: tuple[Panel, ...]) -> dict[str, list[str]]:
    return {panel.title: [line.label for line in panel.series] for panel in panels}


def test_all_arms_of_rounds_that_have_the_metric() -> None:
    rows = [made.row(arm=arm.name, round=1, density=0.5) for arm in OF_ROUNDS[::-1]]
    rows[0] = replace(rows[0], final_test_accuracy=None)
    series = shown_series(made.results(rows), METRIC)
    assert names(series) == [arm.name for arm in OF_ROUNDS[:-1]]
    assert [line.label for line in series] == names(series)
    assert series[1].points == points(rows, "reinit", METRIC)


def test_methods_without_controls_and_the_dense_point_alone() -> None:
    assert names(shown_series(compared(), METRIC)) == ["jackpot", "tuned", "snip", "noise"]
    assert names(shown_series(compared(without=(SNIP,)), METRIC)) == ["jackpot", "tuned", "noise"]
    dense = made.results([made.row()], arms=ARMS, recipe={"compare": {}})
    assert names(shown_series(dense, METRIC)) == ["ticket"]


def test_a_panel_for_each_kind_but_random_masks() -> None:
    panels = method_panels(compared(), METRIC)
    assert labels(panels) == {
        "Panel of mask search": ["jackpot", "tuned"], "Panel of at initialisation": ["snip"]
    }  # fmt: skip
    assert panels[0].title == "Panel of mask search"  # the recipe's order
    assert random_masks(compared()) == NOISE
    assert random_masks(compared(ARMS[:-1])) is None
    assert labels(method_panels(compared(without=(SNIP,)), METRIC)) == {
        "Panel of mask search": ["jackpot", "tuned"]
    }


@pytest.mark.parametrize(("count", "parts"), [(7, [7]), (8, [4, 4]), (9, [5, 4]), (15, [5, 5, 5])])
def test_a_full_panel_is_parted(count: int, parts: list[int]) -> None:
    arms = tuple(made.method("snip", f"snip{k}") for k in range(count))
    panels = method_panels(compared((TICKET, *arms)), METRIC)
    tails = [f" ({k + 1} of {len(parts)})" if len(parts) > 1 else "" for k in range(len(parts))]
    assert [panel.title for panel in panels] == [f"Panel of at initialisation{t}" for t in tails]
    assert [len(panel.series) for panel in panels] == parts
    assert [name for panel in panels for name in names(panel.series)] == [a.name for a in arms]


def test_a_panel_for_each_method_that_has_controls() -> None:
    (panel,) = control_panels(compared(), METRIC)
    assert panel.title == "snip"
    assert [line.label for line in panel.series] == ["method", "shuffled", "inverted"]
    assert names(panel.series) == ["snip", "snip-shuffled", "snip-inverted"]
    (alone,) = control_panels(compared(without=(SNIP, SHUFFLED)), METRIC)
    assert [line.label for line in alone.series] == ["inverted"]
    assert control_panels(compared(without=(SHUFFLED, INVERTED)), METRIC) == ()
    assert control_panels(compared((TICKET, SNIP, NOISE)), METRIC) == ()
