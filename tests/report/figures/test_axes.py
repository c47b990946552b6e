"""Limits and ticks of the axes, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from winnow.report.figures.axes import (
    _accuracies,
    _spread_out,
    accuracy_axis,
    density_axis,
    legend_above,
)


def new_axes(count: int = 1) -> list[Any]:
    from matplotlib.figure import Figure

    figure = Figure()
    return [figure.add_subplot(1, count, place + 1) for place in range(count)]


def test_the_density_axis_goes_from_dense_to_sparse() -> None:
    (axes,) = new_axes()
    density_axis(axes, [0.5, 1.0, 0.02, 0.5], [0.5, 0.1])
    np.testing.assert_allclose(axes.get_xlim(), (112, 2 / 1.12))
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == pytest.approx([100, 50, 10, 2])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["100", "50.0", "10.0", "2.0"]
    assert list(axes.get_xticks(minor=True)) == []
    assert axes.get_xlabel() == "Weights remaining (density_total, %)"


def test_ticks_that_are_too_near_give_way_to_preferred_ones() -> None:
    (axes,) = new_axes()
    density_axis(axes, [1.0, 0.9, 0.5, 0.26, 0.25, 0.1], [1.0, 0.26])
    # At least 10^(1/8) = 1.33 apart.
    assert list(axes.get_xticks()) == pytest.approx([100, 50, 26, 10])
    assert _spread_out([2.0, 1.0]) == [2.0, 1.0]
    assert _spread_out([1.0, 1.01, 1.03]) == [1.03, 1.0]  # 1.02 apart at least
    assert _spread_out([1.0, 1.01, 1.0205]) == [1.0205, 1.0]
    assert _spread_out([100.0, 10.0, 1.0], most=1) == [100.0, 1.0]
    assert _spread_out([100.0, 10.0, 1.0], most=2) == [100.0, 10.0, 1.0]


def test_accuracies_are_even_in_the_log_of_the_error() -> None:
    first, second = new_axes(2)
    accuracy_axis([first, second], [60.0, 90.0, 98.0])
    # Errors from 2 to 40: half of the least, 1.35 times the most.
    for axes in (first, second):
        np.testing.assert_allclose(axes.get_ylim(), (46, 99))
        assert list(axes.get_yticks()) == [99, 98, 95, 90, 80, 50]
        assert [tick.get_text() for tick in axes.get_yticklabels()][:3] == ["99", "98", "95"]
        assert list(axes.get_yticks(minor=True)) == []
        heights = axes.transData.transform([(1, y) for y in (80, 90, 98, 99)])[:, 1]
        assert heights[1] - heights[0] == pytest.approx(heights[3] - heights[2])


def test_errors_have_a_floor_and_a_ceiling() -> None:
    (axes,) = new_axes()
    accuracy_axis([axes], [100.0, 100 - 1e-7, 20.0])
    np.testing.assert_allclose(axes.get_ylim(), (0, 60))  # 1.35 · 80 is more than all
    accuracy_axis([axes], [100.0])
    np.testing.assert_allclose(axes.get_ylim(), (99 + 0.325, 99.5))  # as if the least error were 1
    below = axes.transData.transform([(1, y) for y in (99.5, 99.5098, 99.9, 100)])[:, 1]
    assert below[1] > below[0]
    assert below[2] == below[3] == pytest.approx(below[1], abs=0.1)  # the axis ends there


def test_a_narrow_range_has_more_accuracies() -> None:
    assert _accuracies(1, 60) == [99, 98, 95, 90, 80, 50]
    assert _accuracies(1, 10) == [99, 98, 95, 90]
    assert _accuracies(1, 9) == [99, 98.5, 98, 97, 96, 95, 94, 92]
    assert _accuracies(0.1, 0.5) == [99.9, 99.85, 99.8, 99.7, 99.6, 99.5]
    assert _accuracies(20, 300) == [80, 70, 60, 50, 40, 20, 0]


@pytest.mark.parametrize("mean", [1.0, 0.99, 0.1, 0.0])
def test_axes_of_one_accuracy(mean: float) -> None:
    """Nothing to compare, no error at all, nothing right: still an axis with ticks."""
    (axes,) = new_axes()
    accuracy_axis([axes], [100 * mean])
    bottom, top = axes.get_ylim()
    assert 0 <= bottom < top < 100
    assert bottom <= min(100 * mean, top)
    ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
    assert len(ticks) >= 2


@pytest.mark.parametrize("label", ["snip", "a jackpot after 1,000 epochs of search"])
@pytest.mark.parametrize("count", [1, 5, 9])
def test_a_legend_lies_within_its_figure(label, count):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for number in range(count):
        axes.plot([1, 2], label=f"{label} {number}")
    legend_above(figure, [axes])
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert len(legend.get_texts()) == count
