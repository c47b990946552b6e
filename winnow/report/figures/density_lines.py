"""Lines against density on given axes: means with bars, the dense mean, the limits of axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from winnow.experiment.arms import DENSE, TICKET
from winnow.report.figures import style
from winnow.report.figures.axes import accuracy_axis, density_axis
from winnow.report.results import Results, bars, compares
from winnow.report.series import Series
from winnow.report.statistics import Point, dense, t_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NARROWEST = 1.0  # points of accuracy on an axis; a closer look would magnify chance

Extent = Callable[[Point], tuple[float, float]]


def draw_lines(
    axes: Axes, results: Results, metric: str, series: Sequence[Series], width: float = 1.0
) -> list[float]:
    """A line for each series and a thin one at the dense mean; every mean, as on the axis.

    ``width``: the density of the first line is drawn so many times too large, that of the last one
    too small, so that bars are side by side.
    """
    scale, extent = _scale_of(metric), _extents(results)
    means = [scale * point.summary.mean for line in series for point in line.points]
    reference = dense(results.rows, metric)
    if reference is not None:
        means.append(scale * reference.mean)
        color, dash = style.DENSE_COLOR, (0, (1, 1.5))
        axes.axhline(means[-1], color=color, lw=1, ls=dash, zorder=1, label=DENSE)
    looks = style.looks([line.arm for line in series])
    for index, (line, look) in enumerate(zip(series, looks, strict=True)):
        shift = width ** (1 - 2 * index / max(len(series) - 1, 1))
        _draw_line(axes, line, look, scale, extent, shift)
    return means


def limit_densities(axes: Axes, series: Sequence[Series]) -> None:
    """A density axis from dense to sparse, with ticks at densities of the first series."""
    every = [point.density_total for line in series for point in line.points]
    density_axis(axes, every, [point.density_total for point in series[0].points])


def limit_metric(axes: Axes, results: Results, metric: str, means: Sequence[float]) -> bool:
    """How far the vertical axis reaches, and its ticks; whether some of the means run off it."""
    if metric == "stop_iteration":
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        return False
    if compares(results):
        accuracy_axis([axes], means)
        return False
    reference = dense(results.rows, metric)
    return _zoom(axes, means, 100 * reference.mean if reference else max(means))


def draw_reference(axes: Axes, series: Series, metric: str) -> list[float]:
    """A thin grey line without bars, to compare others with; its means, as on the axis."""
    means = [_scale_of(metric) * point.summary.mean for point in series.points]
    densities = [100 * point.density_total for point in series.points]
    color = style.REFERENCE_COLOR
    axes.plot(densities, means, color=color, lw=1.1, zorder=1.5, label=series.label)
    return means


def _scale_of(metric: str) -> int:
    """What values are multiplied with: accuracies are shown in percent."""
    return 1 if metric == "stop_iteration" else 100


def _draw_line(
    axes: Axes, line: Series, look: style.Look, scale: int, extent: Extent, shift: float
) -> None:
    means = [point.summary.mean for point in line.points]
    ends = [extent(point) for point in line.points]
    axes.errorbar(
        [100 * shift * point.density_total for point in line.points],
        [scale * mean for mean in means],
        yerr=[
            [scale * max(mean - low, 0) for mean, (low, _) in zip(means, ends, strict=True)],
            [scale * max(high - mean, 0) for mean, (_, high) in zip(means, ends, strict=True)],
        ],
        color=look.color,
        marker=look.marker,
        linestyle=look.dash,
        elinewidth=0.8,
        capthick=0.8,
        label=line.label,
        zorder=3 if line.arm == TICKET else 2,
    )


def _extents(results: Results) -> Extent:
    """Where a bar ends: single runs, or the 95 % t-interval of the mean at that density alone."""
    if bars(results) == "min-max":
        return lambda point: (point.summary.minimum, point.summary.maximum)

    def ends(point: Point) -> tuple[float, float]:
        interval = t_interval(list(point.summary.replicates.values()))
        mean = point.summary.mean
        return (interval.low, interval.high) if interval else (mean, mean)

    return ends


def _zoom(axes: Axes, means: Sequence[float], middle: float) -> bool:
    """Keep the region around dense readable: collapsed networks leave the axis at the bottom.

    The axis goes down to six times the median distance from dense, and at least 6 points. The
    paper's own figures are cut in this way by hand.
    """
    floor = middle - max(6 * median(abs(mean - middle) for mean in means), 6)
    bottom, top = axes.get_ylim()
    spare = max(_NARROWEST - (top - bottom), 0) / 2
    axes.set_ylim(max(bottom - spare, floor), min(top + spare, 100.5))
    return any(mean < floor for mean in means)
