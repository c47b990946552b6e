from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
import synthetic_report as made

from winnow.report import curves, figures, lines, style
from winnow.report.results import Results
from winnow.report.statistics import points


def drawn(results: Results, metric: str) -> tuple[object, bool]:
    """The axes of a figure against density, and whether lines run off it."""
    _, (axes,) = figures._panels(1)
    means = lines.draw(axes, results, metric)
    return axes, lines.limit(axes, results, metric, means)


def line(axes: object, label: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """x, y and the bars of an arm as they stand on the axes."""
    (container,) = [one for one in axes.containers if one.get_label() == label]  # type: ignore[attr-defined]
    data, _, (bars,) = container
    x, y = (np.asarray(one, dtype=float) for one in data.get_data())
    return x, y, [np.asarray(one) for one in bars.get_segments()]


def test_the_axes_show_the_rows() -> None:
    results = made.paper_like(replicates=3, rounds=6)
    axes, clipped = drawn(results, "stop_test_accuracy")
    assert not clipped
    for arm in ("ticket", "reinit", "random", "one-shot"):
        x, y, bars = line(axes, arm)
        expected = points(results.rows, arm, "stop_test_accuracy")
        np.testing.assert_allclose(x, [100 * one.density_total for one in expected])
        np.testing.assert_allclose(y, [100 * one.summary.mean for one in expected])
        low = [100 * one.summary.minimum for one in expected]
        np.testing.assert_allclose([bar[0, 1] for bar in bars], low)
        high = [100 * one.summary.maximum for one in expected]
        np.testing.assert_allclose([bar[1, 1] for bar in bars], high)


def test_dense_stands_at_the_left_of_a_log_axis() -> None:
    axes, _ = drawn(made.paper_like(replicates=1), "stop_iteration")
    left, right = axes.get_xlim()  # type: ignore[attr-defined]
    assert left > 100 > 0.8**17 * 100 > right
    assert axes.get_xscale() == "log"  # type: ignore[attr-defined]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]  # type: ignore[attr-defined]
    assert labels[0] == "100"
    assert "26.2" in labels
    assert labels[-1] == "2.3"


def test_bars_are_intervals_where_the_recipe_says_so() -> None:
    rows = made.sweep({"ticket": [[0.90, 0.91], [0.91, 0.93], [0.92, 0.95]]})
    results = made.results(rows, recipe={"report": {"bars": "interval"}})
    axes, _ = drawn(results, "final_test_accuracy")
    _, _, bars = line(axes, "ticket")
    # 91 ± t(0.975, 2) · 1 / sqrt(3) = 91 ± 2.4841
    np.testing.assert_allclose(bars[0][:, 1], [91 - 2.4841, 91 + 2.4841], atol=1e-3)


def test_collapsed_networks_leave_the_axis_and_the_caption_says_so() -> None:
    rows = made.sweep({"ticket": [[0.98, 0.981, 0.98, 0.979, 0.978, 0.1]]})
    axes, clipped = drawn(made.results(rows), "stop_test_accuracy")
    assert clipped
    assert axes.get_ylim()[0] > 85  # type: ignore[attr-defined]
    captions = {one.name: one.caption for one in figures.draw(made.results(rows))}
    assert "run off the axis" in captions["accuracy-at-stop"]


def names(results: Results) -> list[str]:
    return [drawing.name for drawing in figures.draw(results)]


def test_figures_follow_the_recipe() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8]]})
    assert names(made.results(rows)) == [
        "early-stopping", "accuracy-at-stop", "train-accuracy-at-stop", "final-accuracy"
    ]  # fmt: skip
    rows = [dataclasses.replace(row, accuracy_at={10: 0.5, 20: 0.6}) for row in rows]
    recipe = {"train": {"early_stopping": False}}
    assert names(made.results(rows, recipe=recipe)) == [
        "final-accuracy", "final-train-accuracy", "accuracy-at-steps"
    ]  # fmt: skip


def test_a_dense_run_alone_and_no_run_at_all() -> None:
    assert "final-accuracy" in names(made.results([made.row()]))
    assert figures.draw(made.results([])) == []


def test_files_are_images_and_the_same_every_time() -> None:
    from PIL import Image

    results = made.paper_like(replicates=2, rounds=2)
    first, second = figures.draw(results), figures.draw(results)
    assert [one.name for one in first][-1] == "learning-curves"
    assert first == second
    for drawing in first:
        pixels = np.asarray(Image.open(io.BytesIO(drawing.png)).convert("L"))
        assert min(pixels.shape) > 500
        assert 0.01 < (pixels < 200).mean() < 0.5  # neither empty nor black
        svg = drawing.svg.decode()
        assert svg.rstrip().endswith("</svg>")
        assert not re.search(r"<dc:date>", svg)


def test_the_users_own_style_is_left_alone() -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 31}):
        with style.paper():
            assert matplotlib.rcParams["font.size"] == 9
        assert matplotlib.rcParams["font.size"] == 31


def test_every_arm_looks_different() -> None:
    present = [*style.ARMS, "continued", "snip"]
    looks = [style.look(arm, present) for arm in present]
    assert len({(one.color, one.marker) for one in looks}) == len(present)


def test_learning_curves_show_the_papers_rounds() -> None:
    panels = curves.choose(made.paper_like(replicates=2))
    shown = {title: [(one.arm, one.round) for one in bands] for title, bands in panels.items()}
    # 0.8^3 = 51.2 %, 0.8^7 = 21.0 %, 0.8^12 = 6.9 %, 0.8^15 = 3.5 %; 2.3 % is too far from 1.9 %.
    assert shown == {
        "First rounds": [("ticket", 0), ("ticket", 3), ("ticket", 7)],
        "Later rounds": [("ticket", 0), ("ticket", 12), ("ticket", 15)],
        "Against reinitialisation": [
            ("ticket", 0), ("ticket", 3), ("reinit", 3), ("ticket", 7), ("reinit", 7)
        ],
    }  # fmt: skip


@pytest.mark.parametrize(("rounds", "panels"), [(0, ["Dense"]), (1, ["First rounds"])])
def test_learning_curves_of_short_chains(rounds: int, panels: list[str]) -> None:
    results = made.paper_like(replicates=1, rounds=rounds)
    rows = [row for row in results.rows if row.arm == "ticket"]
    results = dataclasses.replace(results, rows=tuple(rows))
    assert list(curves.choose(results)) == panels
    assert curves.draw(results) is not None


def test_a_band_averages_draws_first_at_common_steps() -> None:
    def curve(steps: tuple[int, ...], values: tuple[float, ...]) -> curves.Curve:
        return curves.Curve(steps, values, values, ())

    rows = [
        made.row(arm="reinit", round=1, replicate=1, draw=0),
        made.row(arm="reinit", round=1, replicate=1, draw=1),
        made.row(arm="reinit", round=1, replicate=2, draw=0),
    ]
    found = {
        rows[0].run: curve((10, 20, 30), (0.1, 0.2, 0.3)),
        rows[1].run: curve((10, 20), (0.3, 0.4)),
        rows[2].run: curve((10, 20), (0.6, 0.9)),
    }
    band = curves.band(made.results(rows, curves=found), "reinit", 1)
    assert band is not None
    assert band.steps == (10, 20)
    assert band.mean == pytest.approx((0.4, 0.6))
    assert (band.low, band.high) == ((0.1, 0.2), (0.6, 0.9))
    assert curves.band(made.results(rows, curves=found), "ticket", 0) is None


def test_curves_without_any_accuracy_are_left_out() -> None:
    row = made.row()
    found = {row.run: curves.Curve((10, 20), (1.0, 0.5), (), ())}
    assert curves.draw(made.results([row], curves=found)) is None


def test_reinitialised_curves_are_dashed_in_the_colour_of_their_round() -> None:
    from matplotlib.figure import Figure

    bands = curves.choose(made.paper_like(replicates=1))["Against reinitialisation"]
    axes = Figure().add_subplot()
    curves._panel(axes, "", bands, curves._shades(bands), 20_000)
    lines = {one.get_label(): one[0] for one in axes.containers}
    assert lines["51.2 %"].get_linestyle() == "-"
    assert lines["51.2 % reinit"].get_linestyle() == "--"
    assert lines["51.2 %"].get_color() == lines["51.2 % reinit"].get_color()
    assert lines["51.2 %"].get_color() != lines["100 %"].get_color()
