"""Lines against density as they are on the axes: points by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import synthetic_report as made

from winnow.experiment.arms import REINIT, TICKET, Arm
from winnow.report.figures import style
from winnow.report.figures.density_lines import (
    draw_lines,
    draw_reference,
    limit_densities,
    limit_metric,
)
from winnow.report.results import Results
from winnow.report.series import Series
from winnow.report.statistics import Point, Summary


def new_axes() -> Any:
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def series(
    arm: Arm, *points: tuple[float, float, float, float], label: str | None = None
) -> Series:
    """Points of (density_total, mean, lowest, highest), each over two replicates."""
    return Series(
        label or arm.name,
        arm,
        tuple(
            Point(number, density, Summary(mean, low, high, {1: mean - 0.01, 2: mean + 0.01}))
            for number, (density, mean, low, high) in enumerate(points)
        ),
    )


LINES = (
    series(TICKET, (0.5, 0.91, 0.90, 0.93), (0.2, 0.92, 0.915, 0.94)),
    series(REINIT, (0.4, 0.81, 0.80, 0.83), label="other"),
    series(made.method("snip"), (0.3, 0.71, 0.70, 0.73)),
)
DENSE = [made.row(final_test_accuracy=0.95, stop_iteration=640)]
DENSE += [made.row(replicate=2, final_test_accuracy=0.97, stop_iteration=660)]


def bars(container: Any) -> list[list[float]]:
    (segments,) = container[2]
    return [[float(value) for value in segment[:, 1]] for segment in segments.get_segments()]


def test_means_bars_and_the_dense_line() -> None:
    axes = new_axes()
    means = draw_lines(axes, made.results(DENSE), "final_test_accuracy", LINES)
    assert means == pytest.approx([91, 92, 81, 71, 96])
    first, second, third = axes.containers
    assert [one.get_label() for one in axes.containers] == ["ticket", "other", "snip"]
    np.testing.assert_allclose(first[0].get_xdata(orig=False), [50, 20])
    np.testing.assert_allclose(first[0].get_ydata(orig=False), [91, 92])
    np.testing.assert_allclose(bars(first), [(90, 93), (91.5, 94)])
    np.testing.assert_allclose(bars(second), [(80, 83)])
    (level,) = [one for one in axes.lines if one.get_label() == "dense"]
    np.testing.assert_allclose(level.get_ydata(), [96, 96])
    assert level.get_color() == style.DENSE_COLOR
    looks = style.looks([line.arm for line in LINES])
    for container, look in zip(axes.containers, looks, strict=True):
        drawn = container[0]
        assert (drawn.get_color(), drawn.get_marker()) == (look.color, look.marker)
        assert drawn.get_linestyle() == look.dash
    assert first[0].get_zorder() > second[0].get_zorder() == third[0].get_zorder()
    assert second[0].get_zorder() > level.get_zorder()


def test_iterations_are_no_percentages_and_dense_may_be_missing() -> None:
    axes = new_axes()
    lines = (series(TICKET, (0.5, 700, 600, 900)),)
    assert draw_lines(axes, made.results(DENSE), "stop_iteration", lines) == [700, 650]
    np.testing.assert_allclose(bars(axes.containers[0]), [(600, 900)])
    axes = new_axes()
    assert draw_lines(axes, made.results([]), "stop_iteration", lines) == [700]
    assert [one.get_label() for one in axes.lines if one.get_label() == "dense"] == []


def test_lines_are_set_apart_sideways() -> None:
    """The first too dense, the last too sparse, the middle one as it is."""
    axes = new_axes()
    draw_lines(axes, made.results([]), "final_test_accuracy", LINES, 1.21)
    x = [container[0].get_xdata(orig=False) for container in axes.containers]
    np.testing.assert_allclose(x[0], [1.21 * 50, 1.21 * 20])
    np.testing.assert_allclose(x[1], [40])
    np.testing.assert_allclose(x[2], [30 / 1.21])
    axes = new_axes()
    draw_lines(axes, made.results([]), "final_test_accuracy", LINES[:1], 1.21)
    np.testing.assert_allclose(axes.containers[0][0].get_xdata(orig=False)[0], 1.21 * 50)


def test_bars_never_go_the_wrong_way_and_intervals_need_spread() -> None:
    """A mean beyond its extremes, as rounding gives; one replicate has no interval."""
    axes = new_axes()
    odd = series(TICKET, (0.5, 0.9, 0.91, 0.89))
    draw_lines(axes, made.results([]), "final_test_accuracy", [odd])
    np.testing.assert_allclose(bars(axes.containers[0]), [(90, 90)])
    intervals = made.results([], recipe={"report": {"bars": "interval"}})
    axes = new_axes()
    single = Series("one", TICKET, (Point(1, 0.5, Summary(0.9, 0.1, 0.99, {1: 0.9})),))
    draw_lines(axes, intervals, "final_test_accuracy", [*LINES[:1], single])
    # t(0.975, 1) · 0.01 = 12.7062 · 0.01 around each mean
    np.testing.assert_allclose(bars(axes.containers[0])[0], (91 - 12.7062, 91 + 12.7062), atol=1e-3)
    np.testing.assert_allclose(bars(axes.containers[1]), [(90, 90)])


def test_the_density_axis_has_all_densities_and_ticks_of_the_first_line() -> None:
    axes = new_axes()
    limit_densities(axes, LINES)
    np.testing.assert_allclose(axes.get_xlim(), (50 * 1.12, 20 / 1.12))
    assert {50.0, 20.0} <= set(axes.get_xticks())


def test_a_reference_is_a_thin_grey_line() -> None:
    axes = new_axes()
    line = series(REINIT, (0.5, 0.91, 0.90, 0.93), (0.2, 0.92, 0.9, 0.94), label="noise")
    assert draw_reference(axes, line, "final_test_accuracy") == pytest.approx([91, 92])
    (drawn,) = axes.lines
    np.testing.assert_allclose(drawn.get_xdata(orig=False), [50, 20])
    np.testing.assert_allclose(drawn.get_ydata(orig=False), [91, 92])
    assert (drawn.get_label(), drawn.get_color()) == ("noise", style.REFERENCE_COLOR)
    assert draw_reference(axes, line, "stop_iteration") == [0.91, 0.92]


def limited(results: Results, metric: str, means: list[float], ends: Any) -> Any:
    axes = new_axes()
    axes.plot([1] * len(ends), ends)
    axes.set_ylim(*ends)
    return axes, limit_metric(axes, results, metric, means)


def test_iterations_begin_at_zero() -> None:
    axes, clipped = limited(made.results(DENSE), "stop_iteration", [1000, 3000], (900, 3100))
    assert not clipped
    assert axes.get_ylim() == (0, 3100)
    assert axes.yaxis.get_major_formatter()(12345.6, 0) == "12,346"


def test_the_axis_is_cut_at_six_times_the_median_distance_from_dense() -> None:
    """Dense is at 96; without it the best mean is in its place."""
    metric = "final_test_accuracy"
    axes, clipped = limited(made.results(DENSE), metric, [97, 94, 93, 60], (55, 99))
    assert clipped  # 96 - 6 · 2.5
    np.testing.assert_allclose(axes.get_ylim(), (81, 99))
    axes, clipped = limited(made.results(DENSE), metric, [97, 96, 95.5, 90], (85, 101))
    assert not clipped  # 6 points at least, the lowest mean included
    np.testing.assert_allclose(axes.get_ylim(), (90, 100.5))
    axes, clipped = limited(made.results([]), metric, [97, 96, 50], (45, 98))
    np.testing.assert_allclose(axes.get_ylim(), (91, 98))
    assert clipped


def test_the_axis_spans_a_point_at_least() -> None:
    axes, clipped = limited(made.results(DENSE), "final_test_accuracy", [96.1], (95.9, 96.3))
    np.testing.assert_allclose(axes.get_ylim(), (95.6, 96.6))
    assert not clipped


def test_comparisons_have_the_log_of_the_error() -> None:
    compared = made.results(DENSE, recipe={"compare": {}})
    axes, clipped = limited(compared, "final_test_accuracy", [60.0, 98.0], (50, 99))
    assert not clipped
    np.testing.assert_allclose(axes.get_ylim(), (46, 99))
