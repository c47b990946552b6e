"""The charts of a recipe by hand: which there are, their points and whose runs those are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import synthetic_report as made
from scipy import stats

from winnow.errors import UserError
from winnow.experiment.arms import OF_ROUNDS, TICKET
from winnow.report.charts.chart import Chart, ChartSeries
from winnow.report.charts.looks import DENSE_LOOK
from winnow.report.charts.of_runs import MOST_CURVE_POINTS, charts_of, main_chart
from winnow.report.results import Curve, Finding, Results, Row

RECIPE: dict[str, Any] = {
    "data": {"name": "digits", "validation": 237},
    "train": {"steps": "100it", "batch": 50, "optimizer": {"lr": 0.1}, "early_stopping": True},
    "prune": {"rewind": "init"},
    "lines": {
        "low": {"train.optimizer.lr": 0.01},
        "high": {"train.optimizer.lr": 0.5, "prune.rewind": "2ep"},
    },
}


def lined_row(
    line: str, arm: str = "ticket", round_: int = 0, replicate: int = 1, **own: Any
) -> Row:
    run = f"{line}-{arm}-{round_}-{replicate}"
    density = 0.5**round_
    return made.row(
        line=line, arm=arm, round=round_, replicate=replicate, density=density, run=run, **own
    )


LINED = [
    lined_row("low", final_test_accuracy=0.90),
    lined_row("low", replicate=2, final_test_accuracy=0.94),
    lined_row("low", round_=1, final_test_accuracy=0.80),
    lined_row("low", round_=1, replicate=2, status="diverged"),
    lined_row("low", "reinit", 1, final_test_accuracy=0.70),
    lined_row("high", final_test_accuracy=0.60),
    lined_row("high", round_=1, final_test_accuracy=0.50),
    lined_row("high", round_=1, replicate=2, status="unreachable"),
    lined_row("high", round_=1, replicate=3, status="diverged"),
]


def lined(*views: dict[str, Any], rows: list[Row] = LINED, **changes: Any) -> Results:
    titled = [{"title": f"View {k}", **view} for k, view in enumerate(views, 1)]
    return made.results(rows, recipe={**RECIPE, "views": titled}, **changes)


def first(results: Results) -> Chart:
    """The chart of the first view."""
    return charts_of(results, "x")[0]


def series_of(chart: Chart) -> dict[str, ChartSeries]:
    found = {one.label: one for one in chart.series}
    assert len(found) == len(chart.series)
    return found


# ---- the usual metrics


def test_the_usual_metrics_have_a_chart_each() -> None:
    results = made.paper_like(replicates=2, rounds=3)
    charts = charts_of(results, "lth-x")
    assert [(one.key, one.title) for one in charts] == [
        ("lth-x-1", "Test accuracy at early stopping"),
        ("lth-x-2", "Early-stopping iteration"),
        ("lth-x-3", "Test accuracy at the end"),
        ("lth-x-4", "Train accuracy at the end"),
    ]
    assert all(one.by_density and one.x.log and one.x.falling for one in charts)
    assert charts[0].y.title == "Test accuracy at early stopping (%)"
    assert (charts[1].y.bottom, charts[1].y.top) == (0, None)
    assert not any(one.own_legend for one in charts)


def test_without_early_stopping_only_the_end_is_shown_and_recorded_steps_are() -> None:
    rows = [made.row(accuracy_at={300: 0.5, 20: 0.25}), made.row(round=1, density=0.5)]
    charts = charts_of(made.results(rows, recipe={"train": {"early_stopping": False}}), "x")
    assert [one.title for one in charts] == [
        "Test accuracy at the end",
        "Train accuracy at the end",
        "Test accuracy at iteration 20",
        "Test accuracy at iteration 300",
    ]
    (point,) = charts[2].series[0].points
    assert (point.x, point.mean) == (100, 25)


def test_every_number_is_that_of_numpy_and_scipy() -> None:
    values = {1: [0.90, 0.93, 0.915], 2: [0.80, 0.82, 0.87]}
    rows = [made.row(replicate=k, final_test_accuracy=0.95 + k / 100) for k in range(3)]
    rows += [
        made.row(round=number, replicate=k, density=0.2 / number, density_total=0.3 / number,
                 final_test_accuracy=value)
        for number, some in values.items() for k, value in enumerate(some)
    ]  # fmt: skip
    rows.append(made.row(round=1, replicate=0, draw=1, density_total=0.3, final_test_accuracy=0.96))
    chart = charts_of(made.results(rows), "x")[2]
    assert chart.reference == pytest.approx(96)
    (series,) = chart.series
    assert (series.label, series.arm, series.line, series.density) == ("ticket",) * 2 + ("", None)
    assert [point.x for point in series.points] == pytest.approx([100, 30, 15])
    assert [point.round for point in series.points] == [0, 1, 2]
    one, two = series.points[1:]
    for point, means in ((one, [93, 93, 91.5]), (two, [80, 82, 87])):
        assert point.mean == pytest.approx(np.mean(means))
        assert point.n == 3
        assert point.interval == pytest.approx(
            stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
        )
    assert (one.minimum, one.maximum) == pytest.approx((90, 96))


def test_lost_and_censored_runs_are_counted_by_point() -> None:
    rows = [
        made.row(stop_censored=True),
        made.row(replicate=2, status="diverged", stop_censored=True),
        made.row(round=1, density=0.5),
        made.row(round=1, density=0.5, replicate=2, status="diverged"),
        made.row(round=1, density=0.5, replicate=3, status="unreachable"),
        made.row(round=1, density=0.5, arm="reinit", stop_censored=True),
        made.row(round=1, density=0.5, arm="reinit", draw=1, stop_censored=True),
    ]
    charts = {one.title: series_of(one) for one in charts_of(made.results(rows), "x")}
    stop = charts["Test accuracy at early stopping"]
    assert [(p.lost, p.censored) for p in stop["ticket"].points] == [(1, 1), (2, 0)]
    assert [(p.lost, p.censored) for p in stop["reinit"].points] == [(0, 2)]
    assert [p.censored for p in charts["Early-stopping iteration"]["reinit"].points] == [2]
    end = charts["Test accuracy at the end"]
    assert [(p.lost, p.censored) for p in end["ticket"].points] == [(1, 0), (2, 0)]
    assert [(p.lost, p.censored) for p in end["reinit"].points] == [(0, 0)]


def test_the_dense_mean_lies_between_the_limits_though_tickets_collapse() -> None:
    rows = [made.row(replicate=k, final_test_accuracy=0.98) for k in range(2)]
    rows += [made.row(round=k, density=0.5**k, final_test_accuracy=0.1) for k in (1, 2, 3)]
    chart = charts_of(made.results(rows), "x")[2]
    assert chart.reference == pytest.approx(98)
    assert chart.y.bottom is not None
    assert chart.y.top is not None
    assert chart.y.bottom <= 98 <= chart.y.top


def test_nothing_done_has_no_charts() -> None:
    assert charts_of(made.results([]), "x") == ()
    assert charts_of(made.results([made.row(status="diverged")]), "x") == ()
    assert main_chart(()) is None


# ---- lines and views


def test_lines_without_views_have_their_usual_charts_apart() -> None:
    charts = charts_of(lined(), "x")
    assert len({one.key for one in charts}) == len(charts) == 8
    low = next(one for one in charts if one.title == "Test accuracy at the end: low")
    assert low.reference == pytest.approx(92)
    ticket = series_of(low)["ticket"]
    assert [(p.x, p.mean, p.round, p.line, p.lost) for p in ticket.points] == [
        (100, pytest.approx(92), 0, "low", 0),
        (50, pytest.approx(80), 1, "low", 1),
    ]
    high = next(one for one in charts if one.title == "Test accuracy at the end: high")
    assert [(p.round, p.line, p.lost) for p in high.series[0].points] == [
        (0, "high", 0),
        (1, "high", 2),
    ]


def test_a_view_against_density_says_whose_runs_its_points_are() -> None:
    chart = first(lined({"of": "final_test_accuracy"}))
    assert (chart.key, chart.title) == ("x-1", "View 1")
    assert chart.by_density
    assert chart.own_legend  # colours are those of lines, dashes those of arms
    found = {
        label: [(p.x, pytest.approx(p.mean), p.round, p.line, p.lost) for p in one.points]
        for label, one in series_of(chart).items()
    }
    assert found == {
        "low, ticket": [(100, 92, 0, "low", 0), (50, 80, 1, "low", 1)],
        "low, reinit": [(50, 70, 1, "low", 0)],
        "high, ticket": [(100, 60, 0, "high", 0), (50, 50, 1, "high", 2)],
    }
    assert [(one.arm, one.line) for one in chart.series] == [
        ("ticket", "low"),
        ("reinit", "low"),
        ("ticket", "high"),
    ]


def test_a_view_against_a_key_has_points_of_several_lines() -> None:
    view = {
        "of": "final_test_accuracy", "against": "train.optimizer.lr", "densities": [100, 50],
        "arms": ["dense", "ticket"],
    }  # fmt: skip
    chart = first(lined(view))
    assert not chart.by_density
    found = {
        label: [(p.x, pytest.approx(p.mean), p.round, p.line, p.lost) for p in one.points]
        for label, one in series_of(chart).items()
    }
    assert found == {
        "dense, 100 %": [(0.01, 92, 0, "low", 0), (0.5, 60, 0, "high", 0)],
        "ticket, 50.0 %": [(0.01, 80, 1, "low", 1), (0.5, 50, 1, "high", 2)],
    }
    assert chart.x.log  # 0.01 to 0.5
    assert [one.line for one in chart.series] == ["", ""]
    assert chart.own_legend


def test_a_key_whose_values_are_near_or_not_positive_is_no_logarithm() -> None:
    view = {"of": "final_test_accuracy", "densities": [50], "arms": ["ticket"]}
    steps = first(lined({**view, "against": "prune.rewind"}))
    assert [p.x for p in steps.series[0].points] == [0, 48]
    assert not steps.x.log
    near = {**RECIPE, "lines": {"low": {"train.batch": 50}, "high": {"train.batch": 60}}}
    near["views"] = [{"title": "t", **view, "against": "train.batch"}]
    chart = first(made.results(LINED, recipe=near))
    assert [p.x for p in chart.series[0].points] == [50, 60]
    assert not chart.x.log


def test_a_metric_that_a_view_shows_has_no_usual_chart() -> None:
    rows = [made.row(), made.row(round=1, density=0.5)]
    views = [{"title": "Mine", "of": "stop_test_accuracy", "panels": "arm"}]
    charts = charts_of(made.results(rows, recipe={**made.RECIPE, "views": views}), "x")
    assert [one.title for one in charts] == [
        "Mine: ticket",
        "Early-stopping iteration",
        "Test accuracy at the end",
        "Train accuracy at the end",
    ]
    with_lines = charts_of(lined({"of": "final_test_accuracy"}), "x")
    assert [one.title for one in with_lines] == ["View 1"]


def test_a_view_of_what_there_is_not_is_named() -> None:
    with pytest.raises(UserError, match="unknown line 'medium'"):
        charts_of(lined({"of": "final_test_accuracy", "lines": ["medium"]}), "x")


@pytest.mark.parametrize(
    ("against", "log", "falling"),
    [
        ("density", True, True),
        ("density_prunable", True, True),
        ("weights", True, True),
        ("sparsity", False, False),
    ],
)
def test_what_remains_falls_on_a_logarithm(against: str, log: bool, falling: bool) -> None:
    chart = first(lined({"of": "final_test_accuracy", "against": against}))
    assert (chart.x.log, chart.x.falling) == (log, falling)
    assert chart.by_density == (against == "density")


def test_main_is_test_accuracy_against_density_else_the_first() -> None:
    views = ({"of": "stop_iteration"}, {"of": "final_test_accuracy"})
    charts = charts_of(lined(*views), "x")
    assert main_chart(charts) == charts[1]
    assert main_chart(charts[:1]) == charts[0]


# ---- curves


def curve(count: int, values: Any) -> Curve:
    steps = tuple(range(0, 10 * count, 10))
    return Curve(steps, tuple(values), tuple(0.5 + 0.0001 * k for k in range(count)), ())


def curve_chart(count: int, losses: Any, of: str = "validation_loss", **view: Any) -> Chart:
    rows = [lined_row("low", round_=1), lined_row("low", round_=1, replicate=2)]
    made_ = curve(count, losses)
    results = lined(
        {"of": of, "against": "iteration", "densities": [50], **view},
        rows=rows,
        curves={row.run: made_ for row in rows},
    )
    return first(results)


@pytest.mark.parametrize("count", [1, 5, 200, 201, 399, 400, 401, 1000])
def test_long_curves_are_thinned_evenly_and_keep_their_end(count: int) -> None:
    (series,) = curve_chart(count, [1 / (1 + k) for k in range(count)]).series
    every = -(-count // MOST_CURVE_POINTS)
    kept = [k for k in range(count) if k % every == 0]
    kept += [count - 1] if kept[-1] != count - 1 else []
    assert [p.x for p in series.points] == [10 * k for k in kept]
    assert [p.mean for p in series.points] == pytest.approx([1 / (1 + k) for k in kept])
    assert len(series.points) <= MOST_CURVE_POINTS + 1
    assert {(p.round, p.lost, p.n) for p in series.points} == {(None, 0, 2)}
    assert series.density == 50


def test_the_axis_of_a_loss_leaves_out_the_first_tenth() -> None:
    losses = [9.0, 7.0, *np.linspace(2, 1, 18)]
    axis = curve_chart(20, losses).y
    assert (axis.bottom, axis.top) == (pytest.approx(0.95), pytest.approx(2.05))


def test_a_loss_that_falls_by_decades_has_limits_on_its_own_scale() -> None:
    """A twentieth of the distance below the least would be below 0, where no logarithm is."""
    axis = curve_chart(20, np.geomspace(1, 1e-6, 20), log=True).y
    assert axis.log
    assert axis.bottom is not None
    assert axis.top is not None
    assert 0 < axis.bottom < 1e-6
    assert axis.top > np.geomspace(1, 1e-6, 20)[2]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("loss", [0.5, 0.0])
def test_a_flat_loss_has_an_axis_with_some_height(loss: float, log: bool) -> None:
    axis = curve_chart(5, [loss] * 5, log=log).y
    if log and not loss:
        assert (axis.bottom, axis.top) == (None, None)
    else:
        assert axis.bottom is not None
        assert axis.top is not None
        assert axis.bottom < loss < axis.top


def test_curves_of_accuracies_are_in_percent() -> None:
    chart = curve_chart(30, [1.0] * 30, of="validation_accuracy")
    means = [p.mean for p in chart.series[0].points]
    assert means == pytest.approx([50 + 0.01 * k for k in range(30)])
    assert chart.y.title == "Validation accuracy (%)"


def test_no_limit_of_a_logarithmic_accuracy_is_0() -> None:
    rows = [lined_row("low", final_test_accuracy=0.9), lined_row("low", round_=1)]
    rows.append(lined_row("low", round_=2, final_test_accuracy=0.001))
    plain = first(lined({"of": "final_test_accuracy"}, rows=rows[:1] + rows[2:]))
    assert plain.y.bottom == 0
    logarithmic = first(lined({"of": "final_test_accuracy", "log": True}, rows=rows[:1] + rows[2:]))
    assert logarithmic.y.log
    assert logarithmic.y.bottom is None


# ---- analyses


def finding(replicate: int, kept: list[float]) -> Finding:
    rows = [{"layer": f"{k}.weight", "kept": share} for k, share in enumerate(kept)]
    return Finding(
        key="layers", arm="ticket", against=None, replicate=replicate, draw=0, round=1,
        density=0.5, density_total=0.5, weights_kept=5, line="low",
        rows=({"kept": sum(kept)}, *rows),
    )  # fmt: skip


def test_points_of_layers_have_no_runs_to_show() -> None:
    results = lined(
        {"of": "layers.kept", "against": "layer", "densities": [50]},
        findings=(finding(1, [0.25, 0.75]), finding(2, [0.5, 0.5])),
    )
    (series,) = first(results).series
    assert [(p.x, p.mean, p.n) for p in series.points] == [(1, 0.375, 2), (2, 0.625, 2)]
    assert {(p.round, p.lost) for p in series.points} == {(None, 0)}
    whole = first(lined({"of": "layers.kept"}, findings=results.findings))
    assert [(p.x, p.mean, p.round, p.lost) for p in whole.series[0].points] == [(50, 1.0, 1, 1)]


# ---- looks


def looks_of(charts: tuple[Chart, ...]) -> dict[tuple[str, str], set[Any]]:
    found: dict[tuple[str, str], set[Any]] = {}
    for chart in charts:
        for one in chart.series if not chart.own_legend else ():
            found.setdefault((one.arm, one.line), set()).add(one.look)
    return found


@pytest.mark.parametrize(
    "results",
    [
        made.paper_like(replicates=1, rounds=3),
        made.results([made.row(arm=arm.name, round=int(arm != TICKET)) for arm in OF_ROUNDS]),
    ],
)
def test_an_arm_looks_the_same_in_all_charts(results: Results) -> None:
    found = looks_of(charts_of(results, "x"))
    assert found
    assert all(len(looks) == 1 for looks in found.values())
    shown = [look for looks in found.values() for look in looks]
    assert len(set(shown)) == len(shown)


def test_series_of_a_chart_are_told_apart() -> None:
    views = (
        {"of": "final_test_accuracy"},
        {"of": "stop_iteration", "panels": "line"},
        {"of": "final_test_accuracy", "arms": ["dense", "ticket"], "panels": "arm"},
    )
    charts = charts_of(lined(*views), "x")
    assert len(charts) >= 5
    for chart in charts:
        looks = [one.look for one in chart.series]
        assert len(set(looks)) == len(looks)


def test_one_density_of_each_method_stands_side_by_side() -> None:
    arms = [made.method("random"), made.method("snip")]
    rows = [made.row(), *(made.row(arm=arm.name, round=1, density=0.05) for arm in arms)]
    view = {"title": "One", "of": "final_test_accuracy"}
    results = made.results(rows, arms=(TICKET, *arms), recipe={"compare": {}, "views": [view]})
    chart = charts_of(results, "x")[0]
    assert chart.side_by_side
    assert not chart.by_density
    assert chart.x.title == "At 5.0 % of the weights"
    assert [(one.label, one.arm, len(one.points)) for one in chart.series] == [
        ("dense", "dense", 1), ("random", "random", 1), ("snip", "snip", 1),
    ]  # fmt: skip
    more = [*rows, made.row(arm="snip", round=2, density=0.02)]
    wider = made.results(more, arms=(TICKET, *arms), recipe={"compare": {}, "views": [view]})
    assert not charts_of(wider, "x")[0].side_by_side


def test_densities_have_colours_where_they_tell_series_apart() -> None:
    view = {"of": "final_test_accuracy", "against": "train.optimizer.lr", "densities": [100, 50]}
    chart = first(lined({**view, "arms": ["dense", "ticket"]}))
    assert series_of(chart)["dense, 100 %"].look.color == DENSE_LOOK.color
    both = first(lined({**view, "arms": ["ticket"]}))
    colors = [one.look.color for one in both.series]
    assert len(set(colors)) == len(colors) == 2


# ---- comparisons


def test_a_comparison_has_a_chart_for_each_panel_with_random_masks_in_all() -> None:
    rows = [made.row(stop_test_accuracy=0.98)]
    arms = [made.method("random"), made.method("snip"), made.method("imp", kind="iterative")]
    rows += [
        made.row(arm=arm.name, round=1, density=0.5, stop_test_accuracy=level)
        for arm, level in zip(arms, (0.5, 0.8, 0.9), strict=True)
    ]
    charts = charts_of(made.results(rows, arms=(TICKET, *arms), recipe={"compare": {}}), "x")
    assert [one.title for one in charts] == [
        "Test accuracy at early stopping: Panel of at initialisation",
        "Test accuracy at early stopping: Panel of iterative",
    ]
    shown = [[(one.label, one.points[0].mean) for one in chart.series] for chart in charts]
    assert shown == [[("snip", 80), ("random", 50)], [("imp", 90), ("random", 50)]]
    assert {(one.own_legend, one.reference) for one in charts} == {(True, 98)}
    assert charts[0].series[1].look == charts[1].series[1].look


def test_controls_stand_beside_their_method() -> None:
    snip = made.method("snip")
    shuffled, inverted = (made.control(snip, kind) for kind in ("shuffled", "inverted"))
    rows = [made.row()] + [
        made.row(arm=arm.name, round=1, density=0.5, stop_test_accuracy=level)
        for arm, level in ((snip, 0.9), (shuffled, 0.8), (inverted, 0.7))
    ]
    results = made.results(rows, arms=(TICKET, snip, shuffled, inverted), recipe={"compare": {}})
    panel, controls = charts_of(results, "x")
    assert [one.arm for one in panel.series] == ["snip"]
    assert controls.title.endswith("snip and its controls")
    assert [(one.label, one.arm, one.points[0].mean) for one in controls.series] == [
        ("method", "snip", 90),
        ("shuffled", "snip-shuffled", 80),
        ("inverted", "snip-inverted", 70),
    ]


def test_the_order_of_rows_changes_nothing() -> None:
    results = made.paper_like(replicates=2, rounds=2)
    turned = replace(results, rows=results.rows[::-1])
    plain, other = charts_of(results, "x"), charts_of(turned, "x")
    assert [one.title for one in plain] == [one.title for one in other]
    for a, b in zip(plain, other, strict=True):
        for one, two in zip(a.series, b.series, strict=True):
            assert [p.x for p in one.points] == pytest.approx([p.x for p in two.points])
            assert [p.mean for p in one.points] == pytest.approx([p.mean for p in two.points])
