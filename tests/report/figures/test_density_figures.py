from __future__ import annotations

import dataclasses
import io
import re
from typing import Any

import numpy as np
import pytest
import synthetic_report as made

from winnow.experiment.arms import MORE_CONTROLS, OF_ROUNDS, TICKET, noise_arm
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


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn from here on, which become no files: quickly."""
    drawn: list[Any] = []

    def rendered(figure: Any) -> tuple[bytes, bytes]:
        drawn.append(figure)
        return b"png", b"svg"

    monkeypatch.setattr(style, "rendered", rendered)
    return drawn


def names(results: Results) -> list[str]:
    return [drawing.name for drawing in draw_figures(results)]


METRICS = {
    "stop_iteration": 1200,
    "stop_test_accuracy": 0.81,
    "stop_train_accuracy": 0.82,
    "final_test_accuracy": 0.83,
    "final_train_accuracy": 0.84,
}


def distinct(**changes: Any) -> Results:
    """A ticket at one density whose metrics all differ."""
    row = made.row(round=1, density=0.5, accuracy_at={10: 0.85, 2000: 0.86}, **METRICS)
    return made.results([row], **changes)


def shown(axes: Any) -> tuple[str, str, list[float]]:
    """Title, label of the vertical axis, and the heights of the one line."""
    (container,) = axes.containers
    return axes.get_title(), axes.get_ylabel(), list(container[0].get_ydata(orig=False))


def test_every_figure_shows_its_metric(figures: list[Any]) -> None:
    assert names(distinct()) == [
        "early-stopping", "accuracy-at-stop", "train-accuracy-at-stop", "final-accuracy",
        "accuracy-at-steps",
    ]  # fmt: skip
    assert [shown(axes) for figure in figures for axes in figure.axes] == [
        ("", "Early-stopping iteration", [1200]),
        ("", "Test accuracy at early stopping (%)", [pytest.approx(81)]),
        ("", "Training accuracy at early stopping (%)", [pytest.approx(82)]),
        ("", "Test accuracy at the end (%)", [pytest.approx(83)]),
        ("at iteration 10", "Test accuracy (%)", [pytest.approx(85)]),
        ("at iteration 2,000", "", [pytest.approx(86)]),
    ]
    for figure in figures:
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["ticket"]
        assert figure.axes[0].get_xlabel() == "Weights remaining (density_total, %)"


def test_without_early_stopping_only_the_end_is_drawn(figures: list[Any]) -> None:
    recipe = {"train": {"early_stopping": False}}
    assert names(distinct(recipe=recipe))[:2] == ["final-accuracy", "final-train-accuracy"]
    assert [shown(axes) for figure in figures[:2] for axes in figure.axes] == [
        ("", "Test accuracy at the end (%)", [pytest.approx(83)]),
        ("", "Training accuracy at the end (%)", [pytest.approx(84)]),
    ]
    assert [len(figure.axes) for figure in figures] == [1, 1, 2]


def test_a_metric_without_any_number_is_not_drawn(figures: list[Any]) -> None:  # noqa: ARG001
    row = made.row(round=1, density=0.5, stop_iteration=None, final_test_accuracy=None)
    assert names(made.results([row])) == ["accuracy-at-stop", "train-accuracy-at-stop"]


def test_captions_by_hand(figures: list[Any]) -> None:  # noqa: ARG001
    rows = made.sweep({"ticket": [[0.9, 0.8]]})
    text = draw_figures(made.results(rows))[0].caption
    assert text == (
        "Iteration of minimum validation loss (early stopping) against the weights remaining. "
        "Lines are means over 1 replicate; the dotted line is the dense mean."
    )
    rows = made.sweep({"ticket": [[0.98, 0.97, 0.975, 0.1], [0.98, 0.97, 0.975, 0.1], [0.9]]})
    rows[-1] = dataclasses.replace(rows[-1], status="diverged")
    text = draw_figures(made.results(rows))[3].caption
    assert text == (
        "Test accuracy at the end of training against the weights remaining. Lines are means over "
        "2 replicates, bars go from the lowest to the highest single run; the dotted line is the "
        "dense mean. Lower values run off the axis; the table has them."
    )
    recipe = {"report": {"bars": "interval"}, "compare": {}}
    arms = (TICKET, made.method("snip"))
    rows = made.sweep({"ticket": [[0.9], [0.9]], "snip": [[0.8], [0.7]]})
    (drawing,) = draw_figures(made.results(rows, arms=arms, recipe=recipe))
    assert drawing.caption == (
        "Test accuracy at early stopping against the weights remaining. Lines are means over 2 "
        "replicates, bars are 95 % t-intervals of the mean at one density (not corrected for "
        "several); the dotted line is the dense mean. The axis is even in the log of the error, "
        "so that high accuracies stay apart."
    )
    assert not drawing.wide


def test_a_comparison_and_its_controls(figures: list[Any]) -> None:
    """A panel for each method that has any, on one axis of accuracies."""
    snip, grasp = made.method("snip"), made.method("grasp")
    controls = (made.control(snip, "shuffled"), made.control(grasp, "inverted"))
    arms = (TICKET, snip, controls[0], grasp, controls[1])
    values = {"ticket": [[0.98]], "snip": [[0.9, 0.8]], "snip-shuffled": [[0.7, 0.6]],
              "grasp": [[0.5]], "grasp-inverted": [[0.4]]}  # fmt: skip
    results = made.results(made.sweep(values), arms=arms, recipe={"compare": {}})
    overview, beside = draw_figures(results)
    assert (overview.name, beside.name) == ("accuracy-at-stop", "controls")
    assert (overview.wide, beside.wide) == (False, True)
    (both,) = figures[0].axes
    assert [container.get_label() for container in both.containers] == ["snip", "grasp"]
    first, second = figures[1].axes
    assert (first.get_title(), second.get_title()) == ("snip", "grasp")
    assert (first.get_ylabel(), second.get_ylabel()) == ("Test accuracy at early stopping (%)", "")
    assert first.get_ylim() == second.get_ylim() == pytest.approx((100 - 60 * 1.35, 99))
    assert first.get_xlim() == pytest.approx((56, 25 / 1.12))
    heights = {
        container.get_label(): list(container[0].get_ydata(orig=False))
        for container in first.containers
    }
    assert heights == {
        "method": pytest.approx([90, 80]), "shuffled": pytest.approx([70, 60])
    }  # fmt: skip
    (legend,) = figures[1].legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["dense", "method", "shuffled", "inverted"]
    assert beside.caption.startswith("Test accuracy at early stopping against the weights")
    assert "the mask shuffled within each layer" in beside.caption


def test_more_than_seven_arms_of_one_kind_still_share_the_axes_without_compare(
    figures: list[Any],
) -> None:
    values = {arm.name: [[0.9, 0.8]] for arm in OF_ROUNDS}
    extra = made.method("x", "eighth", "ticket")
    values["eighth"] = [[0.9, 0.8]]
    draw_figures(made.results(made.sweep(values), arms=(*OF_ROUNDS, extra)))
    assert [len(figure.axes) for figure in figures] == [1, 1, 1, 1]


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
    every = (*OF_ROUNDS, *MORE_CONTROLS, *map(noise_arm, (0.5, 1, 2, 3)))
    for arms in (OF_ROUNDS, beside, methods, every):
        looks = style.looks(arms)
        assert len(set(looks)) == len({(one.color, one.marker) for one in looks}) == len(arms)
    assert style.looks(beside)[2] == style.looks(OF_ROUNDS)[1]
    assert style.looks(OF_ROUNDS[::-1]) == style.looks(OF_ROUNDS)[::-1]
    assert style.looks([TICKET, *methods])[1:] == style.looks(methods)
