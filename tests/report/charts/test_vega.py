"""Specifications against Altair's schema, and their data against the chart."""

from __future__ import annotations

import copy
import json
from typing import Any

import altair as alt
import pytest
import synthetic_report as made

from winnow.report.charts import vega
from winnow.report.charts.chart import Chart, ChartAxis, ChartPoint, ChartSeries
from winnow.report.charts.vega import (
    chart_data,
    chart_spec,
    curves_spec,
    histogram_spec,
    layers_spec,
    look_of_css,
)
from winnow.report.figures.style import DENSE_COLOR, IN_TURN, Look

PLAIN = made.results([])
INTERVALS = made.results([], recipe={"report": {"bars": "interval"}})
POINT = ChartPoint(50.0, 97.0, 96.0, 98.0, 3, (95.5, 98.5), 1, "a line", 2, 1)
RATIO = 123_456.789_012


def chart(*series: ChartSeries, **fields: Any) -> Chart:
    shown = series or (ChartSeries("one", "ticket", "", IN_TURN[0], (POINT,)),)
    usual: dict[str, Any] = {"key": "k", "title": "A title", "x": ChartAxis("x %"),
                             "y": ChartAxis("y %")}  # fmt: skip
    return Chart(**{**usual, "series": shown, **fields})


def long(label: str = "one", count: int = 41) -> ChartSeries:
    points = tuple(ChartPoint(k, 1.0, 1.0, 1.0, 1) for k in range(count))
    return ChartSeries(label, "ticket", "", IN_TURN[0], points)


def marks(spec: dict[str, Any]) -> list[str]:
    return [layer["mark"]["type"] for layer in spec["layer"]]


def whole(spec: dict[str, Any], **datasets: Any) -> dict[str, Any]:
    return {**spec, "datasets": datasets, "config": vega.CONFIG}


def check(spec: dict[str, Any], **datasets: Any) -> None:
    filled = whole(spec, **datasets)
    alt.Chart.from_dict(filled, validate=True)
    text = json.dumps(filled, allow_nan=False)
    assert json.loads(text) == filled


CHARTS = {
    "plain": chart(),
    "density": chart(x=ChartAxis("x", log=True, falling=True), by_density=True, reference=97.25),
    "limits": chart(y=ChartAxis("y", bottom=90.0, top=99.0)),
    "bottom": chart(y=ChartAxis("y", bottom=0)),
    "log": chart(y=ChartAxis("y", log=True)),
    "curve": chart(long("one"), long("two", 50)),
}


@pytest.mark.parametrize("results", [PLAIN, INTERVALS])
@pytest.mark.parametrize("name", CHARTS)
def test_specifications_are_valid(name: str, results: Any) -> None:
    spec = chart_spec(CHARTS[name], results)
    check(spec, points=chart_data(CHARTS[name]))
    assert spec["data"] == {"name": "points"}
    assert (spec["width"], spec["height"]) == ("container", vega.HEIGHT)


def test_the_check_sees_what_is_wrong() -> None:
    spec = copy.deepcopy(chart_spec(CHARTS["plain"], PLAIN))
    spec["layer"][0]["encoding"]["y"]["scale"]["type"] = "logarithm"
    with pytest.raises(Exception, match="logarithm"):
        check(spec, points=[])
    with pytest.raises(ValueError, match="JSON"):
        check(chart_spec(CHARTS["plain"], PLAIN), points=[{"x": float("nan")}])


def test_the_charts_of_the_slider_are_valid() -> None:
    curve = {"step": 1, "value": 0.5, "series": "a", "color": "#000", "run": 0}
    check(curves_spec(), curves=[curve])
    check(layers_spec(), layers=[{"layer": "w", "value": 1, "series": "a", "color": "#000"}])
    check(histogram_spec(), histogram=[{"bin": 1, "value": 1, "series": "a", "color": "#000"}])
    assert {one["name"] for one in curves_spec()["params"]} == {"bottom", "top", "zoom"}


def test_the_settings_of_the_page_are_in_no_specification() -> None:
    specs = [chart_spec(chart(), PLAIN), curves_spec(), layers_spec(), histogram_spec()]
    assert not any({"$schema", "config"} & spec.keys() for spec in specs)


# ---- what is in them


def test_titles_and_looks_are_those_of_the_chart() -> None:
    other = ChartSeries("two", "reinit", "", Look("#123456", "s", "--"), (POINT,))
    dense = ChartSeries("dense", "dense", "", Look(DENSE_COLOR, "o", ":"), (POINT,))
    first = ChartSeries("one", "ticket", "", IN_TURN[0], (POINT,))
    spec = chart_spec(chart(first, other, dense), PLAIN)
    assert spec["description"] == "A title"
    lines = spec["layer"][marks(spec).index("line")]["encoding"]
    assert (lines["x"]["title"], lines["y"]["title"]) == ("x %", "y %")
    named = {"domain": ["one", "two", "dense"]}
    assert lines["color"]["scale"] == {**named, "range": [IN_TURN[0].color, "#123456", vega.INK]}
    assert lines["strokeDash"]["scale"] == {**named, "range": [[1, 0], [6, 3], [2, 2]]}
    shapes = spec["layer"][-1]["encoding"]["shape"]["scale"]
    assert shapes == {**named, "range": ["circle", "square", "circle"]}


def test_a_swatch_is_drawn_as_the_series_is() -> None:
    assert look_of_css(Look("#123456", "^", "-.")) == {
        "color": "#123456",
        "dash": "6 2 2 2",
        "shape": "triangle-up",
    }
    assert look_of_css(Look(DENSE_COLOR, "o", "-"))["color"] == vega.INK


def scales(spec: dict[str, Any], axis: str) -> list[dict[str, Any]]:
    found = [layer["encoding"].get(axis, {}).get("scale") for layer in spec["layer"]]
    return [scale for scale in found if scale is not None]


def test_all_layers_share_the_axes_of_the_chart() -> None:
    axes = {"x": ChartAxis("x", log=True, falling=True), "y": ChartAxis("y", bottom=90, top=99.5)}
    spec = chart_spec(chart(**axes), PLAIN)
    shared = {"nice": False, "padding": 8}
    assert len(scales(spec, "x")) == 4  # the spread, the line, the ring, the point
    for scale in scales(spec, "x"):
        assert scale == {**shared, "type": "log", "reverse": True}
    for scale in scales(spec, "y"):
        assert scale == {**shared, "type": "linear", "zero": False, "domain": [90, 99.5]}
    open_ = chart_spec(chart(y=ChartAxis("y", bottom=0)), PLAIN)
    assert {scale["domainMin"] for scale in scales(open_, "y")} == {0}


def test_bars_are_what_the_recipe_says() -> None:
    for results, ends in ((PLAIN, ("minimum", "maximum")), (INTERVALS, ("low", "high"))):
        spread = chart_spec(chart(), results)["layer"][0]["encoding"]
        assert (spread["y"]["field"], spread["y2"]["field"]) == ends


def test_curves_have_a_band_and_no_marks() -> None:
    assert marks(chart_spec(chart(long()), PLAIN)) == ["area", "line"]
    assert marks(chart_spec(chart(long(count=40)), PLAIN)) == ["rule", "line", "point"]
    assert marks(chart_spec(chart(long(), long("two", 3)), PLAIN)) == ["rule", "line", "point"]


def test_lost_and_censored_runs_have_rings() -> None:
    ringed = chart_spec(chart(), PLAIN)
    assert marks(ringed) == ["rule", "line", "point", "point"]
    filters = [one["filter"] for one in ringed["layer"][2]["transform"]]
    assert "datum.lost || datum.censored" in filters
    plain = ChartSeries("one", "a", "", IN_TURN[0], (ChartPoint(1, 2, 2, 2, 1),))
    assert marks(chart_spec(chart(plain), PLAIN)) == ["rule", "line", "point"]


def test_the_dense_mean_is_a_line_of_its_own() -> None:
    spec = chart_spec(chart(reference=RATIO), PLAIN)
    assert spec["layer"][0]["data"]["values"] == [{"y": 123_457.0}]
    assert "transform" not in spec["layer"][0]
    assert len(spec["layer"]) == len(chart_spec(chart(), PLAIN)["layer"]) + 1


def test_densities_are_chosen_with_a_brush() -> None:
    def params(**fields: Any) -> set[str]:
        return {one["name"] for one in chart_spec(chart(**fields), PLAIN)["params"]}

    assert params() == {"zoom", "hidden_arms", "hidden_lines"}
    assert params(by_density=True) == {"zoom", "brush", "hidden_arms", "hidden_lines"}


def test_every_layer_of_series_can_be_hidden() -> None:
    for one in CHARTS.values():
        for layer in chart_spec(one, PLAIN)["layer"]:
            if "data" not in layer:
                first = layer["transform"][0]["filter"]
                assert "hidden_arms, datum.arm" in first
                assert "hidden_lines, datum.line" in first


def test_a_logarithm_leaves_out_what_it_has_no_place_for() -> None:
    axes = {"x": ChartAxis("x", log=True), "y": ChartAxis("y", log=True)}
    spread, line, *rest = chart_spec(chart(**axes), INTERVALS)["layer"]
    filters = [[one["filter"] for one in layer["transform"]][1:] for layer in (spread, line)]
    assert filters == [["datum.x > 0", "datum.low > 0"], ["datum.x > 0", "datum.y > 0"]]
    assert all({"filter": "datum.y > 0"} in layer["transform"] for layer in rest)
    minimum = chart_spec(chart(**axes), PLAIN)["layer"][0]
    assert {"filter": "datum.minimum > 0"} in minimum["transform"]
    plain = chart_spec(chart(), PLAIN)["layer"]
    assert not any("> 0" in one["filter"] for layer in plain for one in layer["transform"])


def test_a_specification_does_not_change_those_made_before_and_after() -> None:
    before = copy.deepcopy(chart_spec(chart(), PLAIN))
    chart_spec(chart(reference=1.0, x=ChartAxis("other", log=True)), PLAIN)
    assert chart_spec(chart(), PLAIN) == before


def test_a_specification_is_the_same_in_every_process() -> None:
    def made_anew() -> list[str]:
        for one in (vega._template, curves_spec, layers_spec, histogram_spec):
            one.cache_clear()
        specs = [chart_spec(one, PLAIN) for one in CHARTS.values()]
        return [json.dumps(one) for one in (*specs, curves_spec(), layers_spec(), histogram_spec())]

    first = made_anew()
    alt.Chart(alt.NamedData("x")).mark_bar().add_params(alt.selection_interval()).to_dict()
    assert made_anew() == first


# ---- data


def test_a_row_has_what_is_known_of_its_point() -> None:
    series = ChartSeries("50 %", "ticket", "low", IN_TURN[0], (POINT,), 50.0)
    assert chart_data(chart(series)) == [
        {
            "series": "50 %",
            "arm": "ticket",
            "line": "low",
            "x": 50.0,
            "y": 97.0,
            "minimum": 96.0,
            "maximum": 98.0,
            "low": 95.5,
            "high": 98.5,
            "n": 3,
            "round": 1,
            "at": "a line",
            "lost": 2,
            "censored": 1,
            "interval": True,
            "density": 50.0,
        }
    ]


def test_what_is_not_known_is_left_out() -> None:
    point = ChartPoint(1.0, RATIO, 1.0, 2.0, 1, round=0)
    (found,) = chart_data(chart(ChartSeries("one", "a", "", IN_TURN[0], (point,))))
    assert not {"lost", "censored", "interval", "density"} & found.keys()
    assert found["round"] == 0  # of dense networks
    assert (found["low"], found["high"]) == (found["y"], found["y"])
    assert found["y"] == 123_457.0  # six digits


def test_data_are_in_the_order_of_series_and_points() -> None:
    shown = [(one["series"], one["x"]) for one in chart_data(chart(long("b", 2), long("a", 3)))]
    assert shown == [("b", 0), ("b", 1), ("a", 0), ("a", 1), ("a", 2)]
