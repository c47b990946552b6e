"""A view, drawn: a metric against its axis, panels side by side, one legend."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import ceil, floor, log10
from typing import TYPE_CHECKING

from winnow.experiment.recipe.views import BIN, EPOCH, ITERATION, View
from winnow.report import wording
from winnow.report.figures import style
from winnow.report.figures.axes import density_axis, falling_axis, legend_above
from winnow.report.figures.drawing import Drawing
from winnow.report.results import Results, bars
from winnow.report.statistics import Summary, t_interval
from winnow.report.view_axes import AXIS_WORDS, around_zero, metric_label
from winnow.report.views import ViewPanel, ViewSeries, view_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (4.2, 3.3)  # inches
_ALONE = (5.2, 3.6)
_IN_A_ROW = 3
_BARS = 12  # on one learning curve
_DECADES = 3  # from tick to tick of an axis that is logarithmic on both sides of zero


def draw_view(results: Results, view: View, number: int) -> Drawing | None:
    """The figure of a recipe's view; None while nothing of it is finished.

    Raises UserError: the view names what there is not.
    """
    panels = view_panels(results, view)
    if not panels:
        return None
    figure, every = _figure(len(panels))
    looks = looks_of([series for panel in panels for series in panel.series])
    for axes, panel in zip(every, panels, strict=True):
        draw_view_panel(axes, results, view, panel, looks)
    for axes in every[:: min(len(every), _IN_A_ROW)]:
        axes.set_ylabel(metric_label(view.of))
    legend_above(figure, every)
    png, svg = style.rendered(figure)
    return Drawing(
        f"view-{number}",
        f"{view.title}. {spread_in_words(results, panels)}",
        png,
        svg,
        len(panels) > 1,
    )


def _figure(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(count, _IN_A_ROW)
    rows = ceil(count / columns)
    size = _ALONE if count == 1 else (columns * _PANEL[0], rows * _PANEL[1])
    figure = Figure(figsize=size, layout="constrained")
    every: list[Axes] = []
    for index in range(count):
        shared = every[0] if every else None
        every.append(figure.add_subplot(rows, columns, index + 1, sharex=shared, sharey=shared))
    return figure, every


def looks_of(series: Sequence[ViewSeries]) -> dict[str, style.Look]:
    """Label → look, the same in all panels: that of the arm where only arms differ, else in turn.

    Controls are dashed.
    """
    labels = {one.label: one for one in series}
    if all(label == one.arm.name for label, one in labels.items()):
        return dict(zip(labels, style.looks([one.arm for one in labels.values()]), strict=True))
    turn = cycle(style.IN_TURN)
    looks = {}
    for label, one in labels.items():
        look = next(turn)
        looks[label] = style.Look(look.color, look.marker, "--" if one.arm.is_control else "-")
    return looks


def draw_view_panel(
    axes: Axes, results: Results, view: View, panel: ViewPanel, looks: dict[str, style.Look]
) -> None:
    """The series of a panel on its axes, with title, scales and limits; no label of the metric."""
    for series in panel.series:
        _draw_series(axes, results, view, series, looks[series.label])
    axes.set_title(panel.title)
    _limit(axes, view, panel)


def _draw_series(
    axes: Axes, results: Results, view: View, series: ViewSeries, look: style.Look
) -> None:
    scale = 100 if "accuracy" in view.of else 1
    timed = view.against in (ITERATION, EPOCH)
    ends = [_ends(results, point.summary) for point in series.points]
    means = [point.summary.mean for point in series.points]
    axes.errorbar(
        [point.x for point in series.points],
        [scale * mean for mean in means],
        yerr=[
            [scale * max(mean - low, 0) for mean, (low, _) in zip(means, ends, strict=True)],
            [scale * max(high - mean, 0) for mean, (_, high) in zip(means, ends, strict=True)],
        ],
        errorevery=max(len(means) // _BARS, 1) if timed else 1,
        color=look.color,
        marker="" if timed else look.marker,
        linestyle=look.dash,
        elinewidth=0.8,
        capthick=0.8,
        label=series.label,
    )


def _ends(results: Results, summary: Summary) -> tuple[float, float]:
    """Where a bar ends: single runs, or the 95 % t-interval of the mean."""
    if bars(results) == "min-max":
        return summary.minimum, summary.maximum
    interval = t_interval(list(summary.replicates.values()))
    return (interval.low, interval.high) if interval else (summary.mean, summary.mean)


def _limit(axes: Axes, view: View, panel: ViewPanel) -> None:
    """Scales, limits and ticks."""
    places = [point.x for series in panel.series for point in series.points]
    if view.log:
        axes.set_yscale("log")
    axes.set_xlabel(AXIS_WORDS.get(view.against, view.against))
    if view.against == "density":
        density_axis(axes, [x / 100 for x in places], [x / 100 for x in places])
    elif view.against == "density_prunable":
        falling_axis(axes, places, places, lambda place: wording.percent(place / 100))
    elif view.against == "weights":
        falling_axis(axes, places, places, wording.rounded)
    elif view.against not in AXIS_WORDS and min(places) > 0 and max(places) >= 10 * min(places):
        axes.set_xscale("log")
    elif view.against == BIN and (even := around_zero(places)) is not None:
        _both_sides_of_zero(axes, even, max(places))
    if view.against == ITERATION:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if "iteration" in view.of and not view.log:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _both_sides_of_zero(axes: Axes, even: float, largest: float) -> None:
    """A logarithmic scale on both sides of zero, even within ``even``; ticks that have room."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("symlog", linthresh=even)
    exponents = range(floor(log10(largest)), ceil(log10(even)), -_DECADES)
    ticks = [10.0**exponent for exponent in exponents]
    axes.xaxis.set_major_locator(FixedLocator([*(-tick for tick in ticks), 0, *ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def spread_in_words(results: Results, panels: Sequence[ViewPanel]) -> str:
    """What lines and bars are."""
    n = max(p.summary.n for panel in panels for s in panel.series for p in s.points)
    spread = {
        "min-max": "bars go from the lowest to the highest single run",
        "interval": "bars are 95 % t-intervals of the mean",
    }[bars(results)]
    text = f"Lines are means over {wording.plural(n, 'replicate')}"
    return f"{text}; {spread}." if n > 1 else f"{text}."
