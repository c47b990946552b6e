"""The lines of a figure against density: means with bars, the dense mean, the limits of axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from winnow.report import style
from winnow.report.comparison import methods_of
from winnow.report.results import Results, arms, bars, compares
from winnow.report.statistics import Point, dense, points, t_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NARROWEST = 1.0  # points of accuracy on an axis; a closer look would magnify chance

Extent = Callable[[Point], tuple[float, float]]


def scale_of(metric: str) -> int:
    """What values are multiplied with: accuracies stand in percent."""
    return 1 if metric == "stop_iteration" else 100


def draw(
    axes: Axes,
    results: Results,
    metric: str,
    shown: Mapping[str, str] | None = None,
    looks: Mapping[str, style.Look] | None = None,
    width: float = 1.0,
) -> list[float]:
    """One line for each arm and a thin one at the dense mean; every mean, as on the axis.

    ``shown``: label → arm, where not all arms are shown under their own names; ``looks``: label →
    look, where it is not that of style. ``width``: the density of the first line is drawn so many
    times too large, that of the last one too small, so that bars stand side by side.
    """
    if shown is None:
        shown = {arm: arm for arm in methods_of(results) or arms(results)}
    scale, extent = scale_of(metric), _extents(results)
    series = {label: points(results.rows, arm, metric) for label, arm in shown.items()}
    reference = dense(results.rows, metric)
    if reference is not None:
        level = scale * reference.mean
        axes.axhline(level, color=style.DENSE, lw=1, ls=(0, (1, 1.5)), zorder=1, label="dense")
    for place, (label, found) in enumerate(series.items()):
        if found:
            how = looks[label] if looks else style.look(label, tuple(shown))
            shift = width ** (1 - 2 * place / max(len(series) - 1, 1))
            _line(axes, label, found, scale, how, extent, shift)
    every = [point for found in series.values() for point in found]
    marked = next(found for found in series.values() if found)
    totals = [point.density_total for point in every]
    style.density_axis(axes, totals, [point.density_total for point in marked])
    means = [scale * point.summary.mean for point in every]
    return [*means, *([scale * reference.mean] if reference else [])]


def limit(axes: Axes, results: Results, metric: str, means: Sequence[float]) -> bool:
    """How far the vertical axis reaches, and its ticks; whether some of the means run off it."""
    if metric == "stop_iteration":
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        return False
    if compares(results):
        style.accuracy_axis([axes], means)
        return False
    reference = dense(results.rows, metric)
    return _zoom(axes, means, 100 * reference.mean if reference else max(means))


def reference_line(axes: Axes, results: Results, metric: str, arm: str) -> list[float]:
    """A thin grey line without bars, to compare others with; its means, as on the axis."""
    found = points(results.rows, arm, metric)
    means = [scale_of(metric) * point.summary.mean for point in found]
    densities = [100 * point.density_total for point in found]
    axes.plot(densities, means, color=style.REFERENCE, lw=1.1, zorder=1.5, label=arm)
    return means


def _line(
    axes: Axes,
    label: str,
    found: Sequence[Point],
    scale: int,
    how: style.Look,
    extent: Extent,
    shift: float,
) -> None:
    means = [point.summary.mean for point in found]
    ends = [extent(point) for point in found]
    axes.errorbar(
        [100 * shift * point.density_total for point in found],
        [scale * mean for mean in means],
        yerr=[
            [scale * max(mean - low, 0) for mean, (low, _) in zip(means, ends, strict=True)],
            [scale * max(high - mean, 0) for mean, (_, high) in zip(means, ends, strict=True)],
        ],
        color=how.color,
        marker=how.marker,
        linestyle=how.dash,
        elinewidth=0.8,
        capthick=0.8,
        label=label,
        zorder=3 if label == "ticket" else 2,
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
