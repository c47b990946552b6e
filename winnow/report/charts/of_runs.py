"""The charts of a recipe: its views, then the usual metrics that no view has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from winnow.experiment.arms import DENSE, TICKET
from winnow.experiment.recipe.views import BIN, EPOCH, ITERATION, OF_A_FINDING, OF_A_RUN, View
from winnow.report import wording
from winnow.report.charts.chart import (
    Chart,
    ChartAxis,
    ChartPoint,
    ChartSeries,
    accuracy_limits,
    chart_point,
    scale_of,
)
from winnow.report.charts.looks import arm_looks, line_looks, series_looks
from winnow.report.figures.style import IN_TURN, Look
from winnow.report.results import Results, by_line, compares, has_early_stopping, is_dense
from winnow.report.series import Series, control_panels, method_panels, random_masks, shown_series
from winnow.report.statistics import ACCURACY_AT, dense
from winnow.report.view_axes import AXIS_WORDS, around_zero, metric_label
from winnow.report.views import ViewPanel, ViewPoint, ViewSeries, view_panels, views_of

MOST_CURVE_POINTS = 200
"""Evaluations of a learning curve in a chart; of more, every so many and the last."""

_Place = tuple[str, str, int | None]
"""Line, arm (``dense`` for dense networks), round."""


@dataclass(frozen=True)
class _Known:
    """What all charts of a recipe share: the looks of arms and of lines; how many runs of a place
    are lost, and in how many early stopping is cut off.
    """

    of_arms: Mapping[str, Look]
    of_lines: Mapping[str, Look]
    lost: Mapping[_Place, int]
    cut: Mapping[_Place, int]

    def looks(self, pairs: Sequence[tuple[str, str]]) -> list[Look]:
        return series_looks(pairs, self.of_arms, self.of_lines)


def charts_of(results: Results, prefix: str) -> tuple[Chart, ...]:
    """All charts of a recipe, whose keys begin with ``prefix``.

    Raises UserError for a view that names what there is not.
    """
    known = _known(results)
    views = views_of(results)
    charts = [chart for view in views for chart in _of_view(results, view, known)]
    drawn = {view.of for view in views if view.against in OF_A_RUN}
    parts = by_line(results)
    if len(parts) == 1 or not charts:
        for part in parts:
            charts += _usual(part, [m for m in _metrics(part) if m not in drawn], known)
    return tuple(replace(_by_arm(c), key=f"{prefix}-{k}") for k, c in enumerate(charts, 1))


def main_chart(charts: Sequence[Chart]) -> Chart | None:
    """The one that stands at the top: accuracy against density, else the first."""
    best = (chart for chart in charts if chart.by_density and "est accuracy" in chart.y.title)
    return next(best, charts[0] if charts else None)


def _by_arm(chart: Chart) -> Chart:
    """Where every series is one point at one density, they stand side by side: no axis has to say
    what is the same for all of them.
    """
    places = [p.x for one in chart.series for p in one.points if p.round != 0]
    alone = chart.by_density and all(len(one.points) == 1 for one in chart.series)
    if not alone or len(places) < 2 or max(places) > _THE_SAME * min(places):
        return chart
    title = f"At {wording.percent(places[0] / 100)} % of the weights"
    return replace(chart, x=ChartAxis(title), by_density=False, side_by_side=True)


_THE_SAME = 1.02  # masks of different methods differ by rounding

# ---- views


def _of_view(results: Results, view: View, known: _Known) -> Iterator[Chart]:
    for panel in view_panels(results, view):
        yield _view_chart(view, panel, known)


def _view_chart(view: View, panel: ViewPanel, known: _Known) -> Chart:
    pairs = [(_arm_of(one), one.line) for one in panel.series]
    mixed = len({one.density for one in panel.series}) > 1
    turn = cycle(IN_TURN)
    series = []
    for one, (arm, line), look in zip(panel.series, pairs, known.looks(pairs), strict=True):
        if mixed and arm != DENSE:
            look = replace(look, color=next(turn).color)
        label = DENSE if one.label == one.arm.name != arm else one.label
        points = _view_points(view, one, known)
        series.append(ChartSeries(label, arm, line, look, points, one.density))
    every = [point.mean for one in series for point in one.points]
    timed = view.against in (ITERATION, EPOCH)
    lines = {line for _, line in pairs}
    return Chart(
        "",
        f"{view.title}: {panel.title}" if panel.title else view.title,
        _view_x(view, [point.x for one in series for point in one.points]),
        _curve_axis(view, series) if timed else _metric_axis(view.of, every, None, log=view.log),
        tuple(series),
        by_density=view.against == "density",
        own_legend=mixed or (len(lines) > 1 and len(lines) < len(pairs)),
    )


def _arm_of(one: ViewSeries) -> str:
    """Tickets that nobody pruned are dense networks: comparisons have them."""
    rounds = {point.round for point in one.points}
    return DENSE if one.arm == TICKET and rounds == {0} else one.arm.name


def _view_points(view: View, one: ViewSeries, known: _Known) -> tuple[ChartPoint, ...]:
    scale = scale_of(view.of)
    points = _thinned(one.points) if view.against in (ITERATION, EPOCH) else one.points
    made = [chart_point(p.x, p.summary, scale, p.round, p.line) for p in points]
    if view.against not in OF_A_FINDING:
        made = [_marked(point, one.arm.name, known, view.of) for point in made]
    return tuple(made)


def _thinned(points: Sequence[ViewPoint]) -> Sequence[ViewPoint]:
    every = -(-len(points) // MOST_CURVE_POINTS)
    return [point for k, point in enumerate(points) if k % every == 0 or k == len(points) - 1]


def _view_x(view: View, places: Sequence[float]) -> ChartAxis:
    title = AXIS_WORDS.get(view.against, view.against)
    if view.against in ("density", "density_prunable", "weights"):
        return ChartAxis(title, log=True, falling=True)
    if view.against == BIN:
        return ChartAxis(title, symlog=around_zero(places))
    known = view.against in AXIS_WORDS
    wide = not known and min(places) > 0 and max(places) >= 10 * min(places)
    return ChartAxis(title, log=wide)


def _metric_axis(of: str, means: Sequence[float], middle: float | None, *, log: bool) -> ChartAxis:
    label = metric_label(of)
    if "accuracy" in of and means:
        bottom, top = accuracy_limits(means, middle)
        return ChartAxis(label, log, bottom=None if log and bottom <= 0 else bottom, top=top)
    return ChartAxis(label, log, bottom=0 if "iteration" in of and not log else None)


def _curve_axis(view: View, series: Sequence[ChartSeries]) -> ChartAxis:
    """Limits that leave out the first steps, where every network is as bad as chance."""
    settled = [point.mean for one in series for point in one.points[len(one.points) // 10 :]]
    axis = _metric_axis(view.of, settled, None, log=view.log)
    if "loss" in view.of and settled and (min(settled) > 0 or not view.log):
        bottom, top = _around(min(settled), max(settled), log=view.log)
        return replace(axis, bottom=bottom, top=top)
    return axis


def _around(low: float, high: float, *, log: bool) -> tuple[float, float]:
    """A twentieth more on both sides, on the axis' own scale; of equal ends, of their value."""
    if log:
        spare = (high / low) ** 0.05 if high > low else 1.05
        return low / spare, high * spare
    spare = 0.05 * ((high - low) or abs(high) or 1.0)
    return low - spare, high + spare


# ---- the usual metrics


def _metrics(results: Results) -> list[str]:
    steps = sorted({step for row in results.rows for step in row.accuracy_at})
    at = [f"{ACCURACY_AT}{step}" for step in steps]
    stops = has_early_stopping(results)
    if compares(results):
        return ["stop_test_accuracy" if stops else "final_test_accuracy"]
    usual = ["stop_test_accuracy", "stop_iteration"] if stops else []
    return [
        *usual,
        "final_test_accuracy",
        "final_train_accuracy",
        "final_train_sample_accuracy",
        *at,
    ]


def _usual(results: Results, metrics: Sequence[str], known: _Known) -> Iterator[Chart]:
    suffix = f": {results.line}" if results.line else ""
    for metric in metrics:
        title = f"{metric_label(metric).removesuffix(' (%)')}{suffix}"
        if not compares(results):
            yield from _of_series(results, metric, title, shown_series(results, metric), known)
            continue
        random = random_masks(results)
        grey = [s for s in shown_series(results, metric) if random and s.arm == random]
        for panel in method_panels(results, metric):
            series = (*panel.series, *grey)
            yield from _of_series(results, metric, f"{title}: {panel.title}", series, known)
        for panel in control_panels(results, metric):
            about = f"{title}: {panel.title} and its controls"
            yield from _of_series(results, metric, about, panel.series, known)


def _of_series(
    results: Results, metric: str, title: str, series: Sequence[Series], known: _Known
) -> Iterator[Chart]:
    looks = known.looks([(one.arm.name, results.line) for one in series])
    pairs = zip(series, looks, strict=True)
    made = [_arm_series(results, metric, one, look, known) for one, look in pairs]
    if not made:
        return
    scale, reference = scale_of(metric), dense(results.rows, metric)
    middle = None if reference is None else scale * reference.mean
    means = [point.mean for one in made for point in one.points]
    random = random_masks(results)
    yield Chart(
        "",
        title,
        ChartAxis(AXIS_WORDS["density"], log=True, falling=True),
        _metric_axis(metric, means if middle is None else [*means, middle], middle, log=False),
        tuple(made),
        middle,
        by_density=True,
        own_legend=bool(random) or compares(results),
    )


def _arm_series(
    results: Results, metric: str, one: Series, look: Look, known: _Known
) -> ChartSeries:
    scale = scale_of(metric)
    points = [
        chart_point(100 * p.density_total, p.summary, scale, p.round, results.line)
        for p in one.points
    ]
    marked = tuple(_marked(point, one.arm.name, known, metric) for point in points)
    return ChartSeries(one.label, one.arm.name, results.line, look, marked)


# ---- runs that no mean has in it


def _known(results: Results) -> _Known:
    lost: Counter[_Place] = Counter()
    cut: Counter[_Place] = Counter()
    for row in results.rows:
        place = (row.line, DENSE if is_dense(row) else row.arm, row.round)
        lost[place] += row.status != "done"
        cut[place] += row.status == "done" and bool(row.stop_censored)
    return _Known(arm_looks(results), line_looks(results), lost, cut)


def _marked(point: ChartPoint, arm: str, known: _Known, metric: str) -> ChartPoint:
    place = (point.line, DENSE if point.round == 0 else arm, point.round)
    censored = known.cut.get(place, 0) if metric.startswith("stop_") else 0
    return replace(point, lost=known.lost.get(place, 0), censored=censored)
