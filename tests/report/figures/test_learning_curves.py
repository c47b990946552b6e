"""Learning curves as they are drawn."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import synthetic_report as made

from winnow.experiment.arms import REINIT, TICKET
from winnow.report.curves import Band, curve_panels
from winnow.report.figures.learning_curves import (
    _caption,
    _colors,
    _draw_panel,
    _last_step,
    _limit,
    draw_learning_curves,
)


def new_axes() -> Any:
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def line(**changes: Any) -> Band:
    fields: dict[str, Any] = {
        "arm": TICKET,
        "round": 1,
        "density_total": 0.5,
        "steps": (100, 200, 300, 400),
        "mean": (0.2, 0.5, 0.8, 0.9),
        "low": (0.1, 0.4, 0.7, 0.85),
        "high": (0.3, 0.7, 0.95, 0.97),
    }
    return Band(**{**fields, **changes})


def test_reinitialised_curves_are_dashed_in_the_colour_of_their_round() -> None:
    bands = curve_panels(made.paper_like(replicates=1))["Against reinitialisation"]
    axes = new_axes()
    _draw_panel(axes, "", bands, _colors(bands), 20_000)
    lines = {one.get_label(): one[0] for one in axes.containers}
    assert lines["51.2 %"].get_linestyle() == "-"
    assert lines["51.2 % reinit"].get_linestyle() == "--"
    assert lines["51.2 %"].get_color() == lines["51.2 % reinit"].get_color()
    assert lines["51.2 %"].get_color() != lines["100 %"].get_color()


def test_a_panel_shows_means_and_single_runs_up_to_the_last_step() -> None:
    axes = new_axes()
    _draw_panel(
        axes, "Title", [line(), line(arm=REINIT, round=2)], {1: "#111111", 2: "#222222"}, 300
    )
    assert axes.get_title() == "Title"
    first, second = axes.containers
    assert (first.get_label(), second.get_label()) == ("50.0 %", "50.0 % reinit")
    data, _, (bars,) = first
    np.testing.assert_allclose(data.get_xdata(orig=False), [100, 200, 300])
    np.testing.assert_allclose(data.get_ydata(orig=False), [20, 50, 80])
    ends = [np.asarray(segment[:, 1], dtype=float) for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [(10, 30), (40, 70), (70, 95)])


def test_a_single_run_has_no_bars() -> None:
    axes = new_axes()
    _draw_panel(axes, "", [line(low=(0.2,) * 4, high=(0.2,) * 4)], {1: "#111111"}, 400)
    assert axes.containers[0][2] == ()


def test_the_axis_ends_after_the_last_early_stopping() -> None:
    def results(**changes: Any) -> Any:
        rows = [
            made.row(round=1, stop_iteration=150),
            made.row(round=1, replicate=2, stop_iteration=201),
            made.row(round=2, stop_iteration=9999),  # no line of it is shown
            made.row(arm="reinit", round=1, stop_iteration=9999),
        ]
        return made.results(rows, **changes)

    assert _last_step(results(), [line()]) == 262  # 1.3 · 201, rounded up
    assert _last_step(results(), [line(steps=(100, 200))]) == 200
    assert _last_step(results(), [line(), line(arm=REINIT)]) == 400
    assert _last_step(results(), [line(round=3)]) == 400  # none has stopped
    assert _last_step(results(recipe={"train": {"early_stopping": False}}), [line()]) == 400


def test_the_axis_leaves_out_the_climb() -> None:
    axes = new_axes()
    _limit(axes, [line()], 1000)  # from iteration 200 on: 50 to 97
    assert axes.get_xlim() == (0, 1000)
    np.testing.assert_allclose(axes.get_ylim(), (50 - 4.7, 100.2))
    _limit(axes, [line(high=(0.3, 0.6, 0.8, 0.9))], 1000)
    np.testing.assert_allclose(axes.get_ylim(), (50 - 4, 94))
    _limit(axes, [line()], 50)  # nothing is late: all of it
    np.testing.assert_allclose(axes.get_ylim(), (10 - 8.7, 100.2))
    flat = line(mean=(0.5,) * 4, low=(0.5,) * 4, high=(0.5,) * 4)
    _limit(axes, [flat], 400)
    np.testing.assert_allclose(axes.get_ylim(), (49.8, 50.2))


def test_the_caption_counts_replicates() -> None:
    rows = [made.row(replicate=k, final_test_accuracy=None if k == 3 else 0.9) for k in range(4)]
    text = _caption(made.results(rows))
    assert text.startswith("Validation accuracy")
    assert "means over 3 replicates, bars go from" in text
    single = _caption(made.results(rows[:1]))
    assert "means over 1 replicate." in single
    assert "bars" not in single


@pytest.mark.parametrize(("rounds", "wide"), [(0, False), (17, True)])
def test_the_drawing_is_wide_with_several_panels(rounds: int, wide: bool) -> None:
    drawing = draw_learning_curves(made.paper_like(replicates=1, rounds=rounds))
    assert drawing is not None
    assert drawing.wide == wide
    assert drawing.caption.startswith("Test accuracy")


def test_without_curves_there_is_no_drawing() -> None:
    results = made.paper_like(replicates=1, rounds=1)
    assert draw_learning_curves(dataclasses.replace(results, curves={})) is None
