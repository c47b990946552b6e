from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, TICKET
from winnow.report.figures import draw_figures, style
from winnow.report.figures.density_figures import _draw, _panels
from winnow.report.results import Results
from winnow.report.statistics import points


def drawn(results: Results, metric: str) -> tuple[object, bool]:
    """The axes of a figure against density, and whether lines run off it."""
    _, (axes,) = _panels(1)
    return axes, _draw(axes, results, metric)


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
    captions = {one.name: one.caption for one in draw_figures(made.results(rows))}
    assert "run off the axis" in captions["accuracy-at-stop"]


def names(results: Results) -> list[str]:
    return [drawing.name for drawing in draw_figures(results)]


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
    assert draw_figures(made.results([])) == []


def test_files_are_images_and_the_same_every_time() -> None:
    from PIL import Image

    results = made.paper_like(replicates=2, rounds=2)
    first, second = draw_figures(results), draw_figures(results)
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


def test_every_arm_of_one_figure_looks_different() -> None:
    """By its kind, not its name: a control of a method looks like that control of a ticket."""
    snip = made.method("snip")
    beside = (snip, *(made.control(snip, kind) for kind in ("shuffled", "reinit", "inverted")))
    methods = [made.method("snip", f"snip-{k}") for k in range(7)]
    for arms in (OF_ROUNDS, beside, methods):
        looks = style.looks(arms)
        assert len(set(looks)) == len({(one.color, one.marker) for one in looks}) == len(arms)
    assert style.looks(beside)[2] == style.looks(OF_ROUNDS)[1]
    assert style.looks(OF_ROUNDS[::-1]) == style.looks(OF_ROUNDS)[::-1]
    assert style.looks([TICKET, *methods])[1:] == style.looks(methods)
