"""The figure of many methods: which panel a method stands in, and what the panels show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synthetic_report import results, row

from winnow.report import figures, kinds, style
from winnow.report.results import Results
from winnow.report.statistics import points

METRIC = "final_test_accuracy"
DENSITIES = (0.5, 0.2, 0.02)


def compared(*methods: str | dict[str, Any], further: tuple[str, ...] = ()) -> Results:
    """Two replicates of every method, each a little worse than the one before."""
    written = [{"name": one} if isinstance(one, str) else one for one in methods]
    arms = [one.get("label") or one["name"].rpartition(":")[2] for one in written]
    rows = [row(replicate=k, final_test_accuracy=0.98 + k / 1000, cost=4.0) for k in range(2)]
    for place, arm in enumerate([*arms, *further]):
        for number, density in enumerate(DENSITIES, 1):
            rows += [
                row(arm=arm, replicate=k, round=number, density=density, cost=4.0,
                    final_test_accuracy=0.98 - 0.005 * place - 0.25 * (number - 1) - 0.01 * k)
                for k in range(2)
            ]  # fmt: skip
    recipe = {"train": {"early_stopping": False}, "compare": {"methods": written}}
    return results(rows, recipe=recipe)


MANY = (
    "jackpot", "snip", {"name": "random", "label": "noise"}, "one-shot", "imp", "rigl",
    {"name": "set", "label": "still", "drop": 0.0}, "mine:own_score", "obd", "grasp",
)  # fmt: skip


def test_a_panel_for_each_kind_in_the_recipes_order() -> None:
    made = compared(*MANY, further=("jackpot-fine-tuned", "snip-shuffled"))
    assert kinds.groups(made, kinds.shown(made, METRIC)) == {
        "Pruned at initialisation": ["snip", "own_score", "grasp"],
        "Pruned after training": ["one-shot", "imp", "obd"],
        "Masks that change in training": ["rigl", "still"],
        "Masks that are searched": ["jackpot", "jackpot-fine-tuned"],
    }
    assert kinds.random_of(made) == "noise"
    assert kinds.random_of(compared("snip", "imp")) is None


def test_every_kind_of_the_catalogue_has_a_panel() -> None:
    from typing import get_args

    from winnow.algorithms.catalogue import METHODS, KindName

    assert set(kinds._TITLES) == set(get_args(KindName)) == {one.kind for one in METHODS.values()}


def test_a_large_group_is_parted() -> None:
    made = compared(*({"name": "snip", "label": f"snip{k}"} for k in range(9)))
    found = kinds.groups(made, kinds.shown(made, METRIC))
    assert {title: len(inside) for title, inside in found.items()} == {
        "Pruned at initialisation (1 of 2)": 5,
        "Pruned at initialisation (2 of 2)": 4,
    }
    assert [arm for inside in found.values() for arm in inside] == [f"snip{k}" for k in range(9)]


def panels_of(made: Results) -> list[Any]:
    with style.paper():
        return list(kinds.draw(made, METRIC, "accuracy").axes)


def test_the_panels_show_the_rows_beside_dense_and_random_masks() -> None:
    made = compared(*MANY)
    panels = panels_of(made)
    assert [axes.get_title() for axes in panels] == list(dict.fromkeys(kinds._TITLES.values()))
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
    assert sorted(seen) == sorted(set(kinds.shown(made, METRIC)) - {"noise"})


def test_all_panels_have_the_same_axes_with_every_mean_inside() -> None:
    made = compared(*MANY)
    panels = panels_of(made)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    bottom, top = panels[0].get_ylim()
    means = [100 * p.summary.mean for arm in kinds.shown(made, METRIC)
             for p in points(made.rows, arm, METRIC)]  # fmt: skip
    assert bottom < min(means)
    assert max(means) < top < 100
    # Even in the log of the error: 98 to 99 is as far as 80 to 90.
    heights = panels[0].transData.transform([(10, y) for y in (80, 90, 98, 99)])[:, 1]
    assert heights[1] - heights[0] == pytest.approx(heights[3] - heights[2])
    labels = [tick.get_text() for tick in panels[0].get_yticklabels()]
    assert {"50", "80", "90", "95", "98"} <= set(labels)


@pytest.mark.parametrize("mean", [1.0, 0.99, 0.1, 0.0])
def test_axes_of_one_accuracy(mean: float) -> None:
    """Nothing to compare, no error at all, nothing right: still an axis with ticks."""
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    style.accuracy_axis([axes], [100 * mean])
    bottom, top = axes.get_ylim()
    assert 0 <= bottom < top < 100
    assert bottom <= min(100 * mean, top)
    ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
    assert len(ticks) >= 2


def test_seven_methods_stay_in_one_panel() -> None:
    (few,) = figures.draw(compared(*MANY[:7]))
    (many,) = figures.draw(compared(*MANY[:8]))
    assert few.name == many.name == "final-accuracy"
    assert many.wide
    assert not few.wide
    assert "A panel for each kind of method, with noise in grey in each." in many.caption
    assert "panel" not in few.caption
    assert "log of the error" in few.caption
    assert "run off" not in few.caption + many.caption
