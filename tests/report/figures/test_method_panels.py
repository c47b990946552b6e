"""The figure of many methods: which panel a method stands in, and what the panels show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synthetic_report import method, results, row

from winnow.experiment.arms import TICKET, Arm
from winnow.report.figures import draw_figures, style
from winnow.report.figures.method_panels import draw_method_panels
from winnow.report.results import Results
from winnow.report.series import method_panels, shown_series
from winnow.report.statistics import points

METRIC = "final_test_accuracy"
DENSITIES = (0.5, 0.2, 0.02)


def compared(*methods: Arm) -> Results:
    """Two replicates of every method, each a little worse than the one before."""
    rows = [row(replicate=k, final_test_accuracy=0.98 + k / 1000, cost=4.0) for k in range(2)]
    for place, arm in enumerate(methods):
        for number, density in enumerate(DENSITIES, 1):
            rows += [
                row(arm=arm.name, replicate=k, round=number, density=density, cost=4.0,
                    final_test_accuracy=0.98 - 0.005 * place - 0.25 * (number - 1) - 0.01 * k)
                for k in range(2)
            ]  # fmt: skip
    recipe = {"train": {"early_stopping": False}, "compare": {}}
    return results(rows, recipe=recipe, arms=(TICKET, *methods))


SNIP, JACKPOT = method("snip"), method("jackpot", kind="mask search")
MANY = (
    JACKPOT, SNIP, method("random", "noise"), method("one-shot", kind="trained"),
    method("imp", kind="trained"), method("rigl", kind="dynamic"),
    method("set", "still", "dynamic"), method("mine:own_score", "own_score"),
    method("obd", kind="trained"), method("grasp"),
)  # fmt: skip


def panels_of(made: Results) -> list[Any]:
    with style.paper():
        return list(draw_method_panels(made, METRIC, "accuracy").axes)


def test_the_panels_show_the_rows_beside_dense_and_random_masks() -> None:
    made = compared(*MANY)
    panels = panels_of(made)
    assert [axes.get_title() for axes in panels] == [
        one.title for one in method_panels(made, METRIC)
    ]
    seen = []
    for axes in panels:
        labels = axes.get_legend_handles_labels()[1]
        assert labels[:2] == ["dense", "noise"]
        (noise,) = [one for one in axes.lines if one.get_label() == "noise"]
        expected = [100 * one.summary.mean for one in points(made.rows, "noise", METRIC)]
        np.testing.assert_allclose(noise.get_ydata(orig=False), expected)
        colors = []
        for container in axes.containers:
            arm, data = container.get_label(), container[0]
            found = points(made.rows, arm, METRIC)
            np.testing.assert_allclose(
                data.get_ydata(orig=False), [100 * p.summary.mean for p in found]
            )
            totals = np.array([100 * p.density_total for p in found])
            shifts = data.get_xdata(orig=False) / totals
            np.testing.assert_allclose(shifts, shifts[0])
            assert abs(np.log(shifts[0])) <= np.log(1.07) + 1e-12
            colors.append(data.get_color())
            seen.append(arm)
        assert len(set(colors)) == len(colors)
    assert sorted(seen) == sorted({line.label for line in shown_series(made, METRIC)} - {"noise"})


def test_all_panels_have_the_same_axes_with_every_mean_inside() -> None:
    made = compared(*MANY)
    panels = panels_of(made)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    bottom, top = panels[0].get_ylim()
    shown = [point for line in shown_series(made, METRIC) for point in line.points]
    means = [100 * point.summary.mean for point in shown]
    assert bottom < min(means)
    assert max(means) < top < 100
    # Even in the log of the error: 98 to 99 is as far as 80 to 90.
    heights = panels[0].transData.transform([(10, y) for y in (80, 90, 98, 99)])[:, 1]
    assert heights[1] - heights[0] == pytest.approx(heights[3] - heights[2])
    labels = [tick.get_text() for tick in panels[0].get_yticklabels()]
    assert {"50", "80", "90", "95", "98"} <= set(labels)


def test_seven_methods_stay_in_one_panel() -> None:
    (few,) = draw_figures(compared(*MANY[:7]))
    (many,) = draw_figures(compared(*MANY[:8]))
    assert few.name == many.name == "final-accuracy"
    assert many.wide
    assert not few.wide
    assert "A panel for each kind of method, with noise in grey in each." in many.caption
    assert "panel" not in few.caption
    assert "log of the error" in few.caption
    assert "run off" not in few.caption + many.caption
