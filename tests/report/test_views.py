"""Views: which series, at which places, with which labels; by hand."""

from __future__ import annotations

import pytest
import synthetic_report as made
from matplotlib.figure import Figure
from pydantic import ValidationError

from winnow.errors import UserError
from winnow.experiment.recipe.views import View
from winnow.report.figures import draw_views
from winnow.report.figures.view_figure import draw_view_panel, looks_of
from winnow.report.results import Curve, Finding, by_line
from winnow.report.views import view_panels, views_of

RECIPE = {
    "data": {"name": "digits", "validation": 237},
    "train": {"steps": "100it", "batch": 50, "optimizer": {"lr": 0.1}},
    "prune": {"rewind": "init"},
    "lines": {
        "low": {"train.optimizer.lr": 0.01},
        "high": {"train.optimizer.lr": 0.5, "prune.rewind": "2ep"},
    },
}


def row(line, arm="ticket", round_=0, replicate=1, accuracy=0.9, **changes):
    run = f"{line}-{arm}-{round_}-{replicate}"
    return made.row(
        line=line, arm=arm, round=round_, replicate=replicate, density=0.5**round_, run=run,
        final_test_accuracy=accuracy, **changes,
    )  # fmt: skip


ROWS = [
    row("low", accuracy=0.90),
    row("low", replicate=2, accuracy=0.94),
    row("low", round_=1, accuracy=0.80),
    row("low", "reinit", 1, accuracy=0.70),
    row("high", accuracy=0.60),
    row("high", round_=1, accuracy=0.50, stop_iteration=40),
]
CURVE = Curve(steps=(0, 24, 48), validation_loss=(2.0, 1.0, 0.5),
              validation_accuracy=(0.1, 0.96, 0.98), test_accuracy=())  # fmt: skip
RESULTS = made.results(ROWS, recipe=RECIPE, curves={"low-ticket-1-1": CURVE})


def panels(results=RESULTS, **view):
    found = view_panels(results, View(title="t", **view))
    return {
        panel.title: {s.label: [(p.x, p.summary.mean) for p in s.points] for s in panel.series}
        for panel in found
    }


def test_a_metric_against_density_has_a_series_for_each_line_and_arm():
    assert panels(of="final_test_accuracy") == {
        "": {
            "low, ticket": [(100, pytest.approx(0.92)), (50, 0.80)],
            "low, reinit": [(50, 0.70)],
            "high, ticket": [(100, 0.60), (50, 0.50)],
        }
    }


def test_arms_and_lines_are_chosen_and_the_dense_network_can_stand_for_itself():
    shown = panels(of="final_test_accuracy", arms=["dense", "ticket"], lines=["low"])
    assert shown == {"": {"dense": [(100, pytest.approx(0.92))], "ticket": [(50, 0.80)]}}


def test_panels_part_series_by_line_or_arm():
    by_arm = panels(of="final_test_accuracy", panels="arm")
    assert {title: list(series) for title, series in by_arm.items()} == {
        "ticket": ["low", "high"],
        "reinit": ["reinit"],
    }
    by_line_ = panels(of="final_test_accuracy", panels="line")
    assert {title: list(series) for title, series in by_line_.items()} == {
        "low": ["ticket", "reinit"],
        "high": ["ticket"],
    }


@pytest.mark.parametrize(
    ("against", "places"),
    [("sparsity", [0, 50]), ("weights", [266_200, 133_100]), ("density_prunable", [100, 50])],
)
def test_other_axes_of_a_run(against, places):
    shown = panels(of="final_test_accuracy", against=against, lines=["high"])
    assert [x for x, _ in shown[""]["ticket"]] == places


def test_a_key_of_the_recipe_is_an_axis_along_lines():
    shown = panels(of="final_test_accuracy", against="train.optimizer.lr", densities=[100, 50])
    assert shown == {
        "": {
            "ticket, 100 %": [(0.01, pytest.approx(0.92)), (0.5, 0.60)],
            "ticket, 50.0 %": [(0.01, 0.80), (0.5, 0.50)],
            "reinit, 50.0 %": [(0.01, 0.70)],
        }
    }


def test_steps_on_an_axis_are_iterations_and_init_is_none():
    shown = panels(
        of="final_test_accuracy", against="prune.rewind", densities=[50], arms=["ticket"]
    )
    assert shown == {"": {"ticket": [(0.0, 0.80), (48.0, 0.50)]}}  # 1,200 images, 50 each


def test_a_density_that_was_not_trained_stands_for_the_nearest():
    shown = panels(of="final_test_accuracy", against="train.optimizer.lr", densities=[40])
    assert "ticket" in shown[""] or "ticket, 50.0 %" in shown[""]
    only_dense = panels(
        of="final_test_accuracy", against="train.optimizer.lr", densities=[99], arms=["reinit"]
    )
    assert only_dense == {}


def test_the_dense_network_is_shown_whatever_the_densities():
    """As in the paper's figure 3, which compares tickets of 51.3 % with it."""
    against = {"of": "final_test_accuracy", "against": "train.optimizer.lr", "densities": [50]}
    shown = panels(**against, arms=["dense", "ticket"])[""]
    assert shown["dense, 100 %"] == [(0.01, pytest.approx(0.92)), (0.5, 0.60)]
    assert shown["ticket, 50.0 %"] == [(0.01, 0.80), (0.5, 0.50)]


def test_a_density_far_from_all_that_was_trained_stands_for_none():
    key = "train.optimizer.lr"
    assert panels(of="final_test_accuracy", against=key, densities=[20], arms=["ticket"]) == {}


def test_curves_go_against_iterations_and_epochs():
    by_step = panels(of="validation_loss", against="iteration", densities=[50])
    assert by_step == {"": {"ticket": [(0, 2.0), (24, 1.0), (48, 0.5)]}}
    by_epoch = panels(of="validation_accuracy", against="epoch", densities=[50])
    assert by_epoch == {"": {"ticket": [(0, 0.1), (1, 0.96), (2, 0.98)]}}


def binned(layer, value):
    return tuple(
        {"bin": place, "w": value, **({"layer": layer} if layer else {})}
        for place in (-1.0, -0.01, -0.0001, 0.0, 0.0001, 0.01, 1.0)
    )


HISTOGRAMS = made.results(
    [row("low", round_=1)],
    findings=[
        Finding(
            "histograms", "ticket", None, 1, 0, 1, 0.5, 0.5, 9,
            ({"w": 9.0}, *binned("hidden", 0.25), *binned("output", 0.75)), line="low",
        )
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    ("of", "height"),
    [("histograms.w", 0.5), ("histograms.w:output", 0.75), ("histograms.w:x", None)],
)
def test_a_histogram_is_of_one_layer_or_of_all(of, height):
    shown = panels(HISTOGRAMS, of=of, against="bin", densities=[50], arms=["ticket"])
    heights = {y for panel in shown.values() for points in panel.values() for _, y in points}
    assert heights == ({height} if height else set())


def test_bins_that_widen_from_zero_on_have_an_axis_that_is_even_near_zero_alone():
    view = View(title="t", of="histograms.w:hidden", against="bin", densities=(50,))
    (panel,) = view_panels(HISTOGRAMS, view)
    axes = Figure().add_subplot()
    draw_view_panel(axes, HISTOGRAMS, view, panel, looks_of(panel.series))
    assert axes.get_xscale() == "symlog"
    assert list(axes.xaxis.get_ticklocs()) == [-1.0, -0.001, 0.0, 1.0, 0.001]


def test_iterations_to_an_accuracy_are_the_first_that_reach_it():
    shown = panels(of="iterations_to_96", lines=["low"], arms=["ticket"])
    assert shown == {"": {"ticket": [(50, 24)]}}
    assert panels(of="iterations_to_99", lines=["low"]) == {}


def test_a_recipe_without_lines_has_series_by_arm():
    results = made.results([row(""), row("", round_=1), row("", "reinit", 1)])
    assert list(panels(results, of="final_test_accuracy")[""]) == ["ticket", "reinit"]
    assert by_line(results) == (results,)


def test_runs_that_diverged_are_no_numbers():
    results = made.results([row("", status="diverged"), row("", replicate=2, accuracy=0.5)])
    assert panels(results, of="final_test_accuracy") == {"": {"ticket": [(100, 0.5)]}}


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"of": "final_test_accurracy"}, "unknown column"),
        ({"of": "final_test_accuracy", "lines": ["medium"]}, "unknown line 'medium'"),
        ({"of": "final_test_accuracy", "against": "train.lr", "densities": [50]}, "no such key"),
        ({"of": "final_test_accuracy", "against": "data.name", "densities": [50]}, "digits"),
    ],
)
def test_what_is_not_there_is_named(view, words):
    with pytest.raises(UserError, match=words):
        panels(**view)


def test_an_unknown_arm_of_a_recipe_without_lines_is_named():
    with pytest.raises(UserError, match="unknown arm 'tickets'"):
        panels(made.results([row("")]), of="final_test_accuracy", arms=["tickets"])


@pytest.mark.parametrize(
    "view",
    [
        {"of": "validation_loss"},
        {"of": "stop_test_accuracy", "against": "iteration"},
        {"of": "stop_test_accuracy", "against": "train.optimizer.lr"},
        {"of": "validation_loss", "against": "epoch"},
    ],
)
def test_a_metric_and_an_axis_that_do_not_suit_are_refused(view):
    with pytest.raises(ValidationError):
        View(title="t", **view)


def test_every_kind_of_view_is_drawn_and_the_same_twice():
    views = [
        {"title": "A", "of": "final_test_accuracy"},
        {"title": "B", "of": "final_test_accuracy", "panels": "line", "against": "weights"},
        {"title": "C", "of": "stop_iteration", "against": "prune.rewind", "densities": [50]},
        {"title": "D", "of": "validation_loss", "against": "iteration", "densities": [50]},
        {"title": "E", "of": "iterations_to_99"},
    ]
    results = made.results(
        ROWS, recipe={**RECIPE, "views": views}, curves={"low-ticket-1-1": CURVE}
    )
    assert len(views_of(results)) == 5
    drawn = draw_views(results)
    assert [drawing.name for drawing in drawn] == [f"view-{k}" for k in (1, 2, 3, 4)]
    assert drawn[0].caption.startswith("A. Lines are means over 2 replicates")
    assert [d.svg for d in drawn] == [d.svg for d in draw_views(results)]
    assert all(d.png.startswith(b"\x89PNG") and b"<svg" in d.svg for d in drawn)


def test_lines_share_nothing_but_the_recipe_around_them():
    low, high = by_line(RESULTS)
    assert (low.line, high.line) == ("low", "high")
    assert low.recipe["train"]["optimizer"]["lr"] == 0.01
    assert high.recipe["prune"]["rewind"] == "2ep"
    assert {r.line for r in low.rows} == {"low"}
    assert [arm.name for arm in high.arms] == ["ticket"]
    assert list(low.curves) == ["low-ticket-1-1"]
    assert by_line(low) == (low,)


def test_lines_that_a_scale_leaves_out_are_not_shown():
    small = made.results(ROWS, recipe={**RECIPE, "scale": "small"})
    shown = panels(small, of="final_test_accuracy", arms=["ticket"], lines=["low", "medium"])
    assert shown == {"": {"ticket": [(100, pytest.approx(0.92)), (50, 0.80)]}}
