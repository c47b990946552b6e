"""Charts as Vega-Lite, written with Altair: hover, zoom, brush, series that can be hidden.

The page's script sets ``hidden_arms`` and ``hidden_lines`` of each chart, and listens to ``brush``
(drag) on the horizontal axis; ``zoom`` (wheel; drag with shift moves) needs no script. Colours that
depend on the theme are CSS variables, which work because the page draws SVG.
"""

from __future__ import annotations

import copy
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from winnow.report.charts.chart import Chart, ChartAxis, ChartPoint, ChartSeries
from winnow.report.figures.style import DENSE_COLOR, Look
from winnow.report.results import bars

if TYPE_CHECKING:
    from winnow.report.results import Results

INK, SOFT, GRID = "var(--ink)", "var(--soft)", "var(--line)"
_DASHES = {"-": [1, 0], "--": [6, 3], ":": [2, 2], "-.": [6, 2, 2, 2]}
_SHAPES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "triangle-right",
    "h": "square",
    "d": "diamond",
    "p": "circle",
    "<": "triangle-left",
    ">": "triangle-right",
    "8": "circle",
    "H": "square",
}
_HIDDEN = "indexof(hidden_arms, datum.arm) < 0 && indexof(hidden_lines, datum.line) < 0"
_MARKED = 40  # points of a series; a curve with more has no marks
HEIGHT = 300
"""Of a chart, in pixels; its width is that of the page."""


def chart_spec(chart: Chart, results: Results) -> dict[str, Any]:
    """The specification of a chart, whose data are called ``points`` (see `chart_data`)."""
    curve = all(len(one.points) > _MARKED for one in chart.series)
    marked = any(point.lost or point.censored for one in chart.series for point in one.points)
    template = _template(curve, chart.by_density, marked, bars(results))
    spec = copy.deepcopy(template)
    if chart.side_by_side:
        _put_side_by_side(spec)
    spec["description"] = chart.title
    looks = [one.look for one in chart.series]
    channels = {
        "color": [_color(look) for look in looks],
        "strokeDash": [_DASHES[look.dash] for look in looks],
        "shape": [_SHAPES[look.marker] for look in looks],
    }
    for layer in spec["layer"]:
        encoding = layer.get("encoding", {})
        if chart.side_by_side and "x" in encoding:
            encoding["x"]["title"] = chart.x.title
        for name, axis in (("x", chart.x), ("y", chart.y)):
            if name in encoding and encoding[name].get("type") != "nominal":
                encoding[name]["scale"] = _scale(axis)
                encoding[name]["title"] = axis.title
                if axis.log:  # it has no place for what is not above 0
                    layer["transform"].append({"filter": f"datum.{encoding[name]['field']} > 0"})
                if "axis" in encoding[name]:
                    encoding[name]["axis"] |= _ticks(axis)
        for name, values in channels.items():
            if "scale" in encoding.get(name, {}):
                domain = [one.label for one in chart.series]
                encoding[name]["scale"] = {"domain": domain, "range": values}
    if chart.reference is not None:
        spec["layer"].insert(0, _reference(chart.reference))
    return spec


def _put_side_by_side(spec: dict[str, Any]) -> None:
    """The series instead of densities on the horizontal axis; lines between them mean nothing."""
    labels = {"labelAngle": -30, "labelLimit": 160, "labelOverlap": False}
    axis = {"field": "series", "type": "nominal", "sort": None, "axis": labels}
    spec["params"] = [one for one in spec["params"] if one["name"] != "zoom"]
    for layer in spec["layer"]:
        if "x" in layer.get("encoding", {}):
            layer["encoding"]["x"] = axis
            if layer["mark"]["type"] == "line":
                layer["mark"]["opacity"] = 0


def chart_data(chart: Chart) -> list[dict[str, Any]]:
    """The data of a chart: a row for each point, None left out."""
    return [_row(series, point) for series in chart.series for point in series.points]


CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": SOFT,
        "tickColor": SOFT,
        "gridColor": GRID,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "labelOverlap": "greedy",
    },
}
"""What all charts of a page look like; the page's script gives it to each."""


def finished(chart: Any, height: int = HEIGHT) -> dict[str, Any]:
    """A specification as plain values: as wide as its place on the page, without CONFIG."""
    sized = chart.properties(width="container", height=height)
    plain: dict[str, Any] = sized.to_dict()
    for name in ("$schema", "config"):
        plain.pop(name, None)
    return plain


def look_of_css(look: Look) -> dict[str, Any]:
    """A look as a legend's swatch has it: colour, dash array, shape."""
    return {
        "color": _color(look),
        "dash": " ".join(map(str, _DASHES[look.dash])),
        "shape": _SHAPES[look.marker],
    }


def _row(series: ChartSeries, point: ChartPoint) -> dict[str, Any]:
    low, high = point.interval or (None, None)
    row = {
        "series": series.label,
        "arm": series.arm,
        "line": series.line,
        "x": _short(point.x),
        "y": _short(point.mean),
        "minimum": _short(point.minimum),
        "maximum": _short(point.maximum),
        "low": _short(point.mean if low is None else low),
        "high": _short(point.mean if high is None else high),
        "n": point.n,
        "round": point.round,
        "at": point.line,
        "lost": point.lost or None,
        "censored": point.censored or None,
        "interval": None if low is None else True,
        "density": series.density,
    }
    return {name: value for name, value in row.items() if value is not None}


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _color(look: Look) -> str:
    return INK if look.color == DENSE_COLOR else look.color


def _scale(axis: ChartAxis) -> dict[str, Any]:
    known: dict[str, Any] = {"type": "log" if axis.log else "linear", "nice": False, "padding": 8}
    if axis.symlog:
        known |= {"type": "symlog", "constant": axis.symlog}
    if axis.falling:
        known["reverse"] = True
    if not axis.log:
        known["zero"] = False
    if axis.bottom is not None and axis.top is not None:
        known["domain"] = [_short(axis.bottom), _short(axis.top)]
    elif axis.bottom is not None:
        known["domainMin"] = axis.bottom
    return known


def _ticks(axis: ChartAxis) -> dict[str, Any]:
    """How places are written; on an axis that is logarithmic on both sides, where they are."""
    if axis.symlog is None:
        return {"format": ".3~g" if axis.log else ",~r"}
    decades = [10.0**k for k in range(math.ceil(math.log10(axis.symlog)), 3, 2)]
    return {"format": "~g", "values": [*(-d for d in reversed(decades)), 0, *decades]}


@lru_cache
def _template(
    curve: bool, by_density: bool, ringed: bool, ends: Literal["min-max", "interval"]
) -> dict[str, Any]:
    """A chart without its titles, scales and looks: Altair checks every part of a specification,
    which takes longer than all else that a page needs, so that it is asked once for each kind.
    """
    import altair as alt

    base = (
        alt.Chart(alt.NamedData("points"))
        .transform_filter(_HIDDEN)
        .encode(
            x=alt.X("x:Q", axis=alt.Axis(format="~g")),
            color=alt.Color("series:N", scale=alt.Scale(), legend=None),
        )
    )
    low, high = ("low", "high") if ends == "interval" else ("minimum", "maximum")
    spread = (
        base.mark_area(opacity=0.15, clip=True, aria=False)
        if curve
        else base.mark_rule(strokeWidth=1, opacity=0.7, clip=True, aria=False)
    )
    layers = [
        spread.encode(y=alt.Y(f"{low}:Q"), y2=f"{high}:Q"),
        _lines(base, by_density),
        *((_rings(base),) if ringed and not curve else ()),
        *(() if curve else (_marks(base),)),
    ]
    layered = alt.layer(*layers).add_params(
        alt.param(name="hidden_arms", value=[]), alt.param(name="hidden_lines", value=[])
    )
    return finished(layered)


def _lines(base: Any, by_density: bool) -> Any:
    import altair as alt

    drawn = base.mark_line(strokeWidth=1.8, clip=True, aria=False).encode(
        y=_y(),
        strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(), legend=None),
        order=alt.Order("x:Q"),
    )
    moved = "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!"
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        on=moved,
        translate=moved,
        zoom="wheel![event.ctrlKey || event.altKey]",
    )
    dragged = "[pointerdown[!event.shiftKey], window:pointerup] > window:pointermove!"
    brush = alt.selection_interval(
        name="brush",
        encodings=["x"],
        on=dragged,
        translate=dragged,
        zoom=False,
        mark=alt.BrushConfig(fill=SOFT, fillOpacity=0.12, stroke=SOFT),
    )
    return drawn.add_params(zoom, brush) if by_density else drawn.add_params(zoom)


def _marks(base: Any) -> Any:
    import altair as alt

    marks = base.mark_point(
        filled=True, size=55, opacity=1, clip=True, aria=False, cursor="pointer"
    )
    return marks.encode(
        y=_y(),
        shape=alt.Shape("series:N", scale=alt.Scale(), legend=None),
        tooltip=alt.Tooltip("series:N"),
    )


def _rings(base: Any) -> Any:
    """Around points of which runs are lost or censored."""
    marks = base.mark_point(filled=False, size=170, strokeWidth=1.2, clip=True, aria=False)
    return marks.transform_filter("datum.lost || datum.censored").encode(y=_y())


def _y() -> Any:
    import altair as alt

    return alt.Y("y:Q", axis=alt.Axis(format=",~r", tickCount=6))


def _reference(mean: float) -> dict[str, Any]:
    return {
        "data": {"values": [{"y": _short(mean)}]},
        "mark": {"type": "rule", "color": INK, "strokeDash": [2, 3], "aria": False},
        "encoding": {"y": {"field": "y", "type": "quantitative"}},
    }


# ---- charts of the slider; the page's script fills in their data


@lru_cache
def curves_spec() -> dict[str, Any]:
    """Learning curves at one density: thin lines of single runs, a thick one for their mean. The
    page's script sets ``bottom`` and ``top``, where the vertical axis ends.
    """
    import altair as alt

    base = alt.Chart(alt.NamedData("curves")).encode(
        x=alt.X("step:Q", axis=alt.Axis(title="Training iteration", format=",~r")),
        y=alt.Y(
            "value:Q",
            scale=alt.Scale(
                zero=False,
                nice=False,
                domainMin=alt.ExprRef("bottom"),
                domainMax=alt.ExprRef("top"),
            ),
            axis=alt.Axis(title="", format=",~r"),
        ),
        color=alt.Color("color:N", scale=None),
    )
    single = base.transform_filter("datum.run > 0").mark_line(
        strokeWidth=1, opacity=0.35, aria=False, clip=True
    )
    mean = base.transform_filter("datum.run == 0").mark_line(strokeWidth=2.4, aria=False, clip=True)
    nearest = mean.mark_point(opacity=0, size=120, aria=False).encode(
        tooltip=alt.Tooltip("series:N")
    )
    zoom = alt.selection_interval(name="zoom", bind="scales")
    layers = alt.layer(
        single.encode(detail=alt.Detail(["series:N", "run:N"])),
        mean.encode(detail="series:N").add_params(zoom),
        nearest,
    )
    limits = alt.param(name="bottom", value=0), alt.param(name="top", value=100)
    return finished(layers.add_params(*limits))


@lru_cache
def layers_spec() -> dict[str, Any]:
    """The densities of layers at one round, arms side by side."""
    import altair as alt

    chart = (
        alt.Chart(alt.NamedData("layers"))
        .mark_bar(aria=False)
        .encode(
            x=alt.X("layer:N", sort=None, axis=alt.Axis(title="Layer, from the first")),
            xOffset=alt.XOffset("series:N", sort=None),
            y=alt.Y("value:Q", axis=alt.Axis(title="Weights remaining (%)", format=",~r")),
            color=alt.Color("color:N", scale=None),
            tooltip=alt.Tooltip("series:N"),
        )
    )
    return finished(chart)


@lru_cache
def histogram_spec() -> dict[str, Any]:
    """A histogram at one round, a line for each arm."""
    import altair as alt

    chart = (
        alt.Chart(alt.NamedData("histogram"))
        .mark_line(interpolate="step", strokeWidth=1.8, aria=False, clip=True)
        .encode(
            x=alt.X(
                "bin:Q", axis=alt.Axis(title="Value", format="~g"), scale=alt.Scale(zero=False)
            ),
            y=alt.Y("value:Q", axis=alt.Axis(title="Share", format="~g")),
            color=alt.Color("color:N", scale=None),
            detail="series:N",
        )
        .add_params(alt.selection_interval(name="zoom", bind="scales"))
    )
    return finished(chart)
