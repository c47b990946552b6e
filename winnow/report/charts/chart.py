"""A chart as plain values: axes and series of points, each of which knows its runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from winnow.report.figures.style import Look
from winnow.report.statistics import Summary, t_interval


@dataclass(frozen=True)
class ChartPoint:
    """Mean over ``n`` replicates, extremes of single runs, 95 % t-interval (None without one).

    In the unit of the chart's axis: percent for accuracies. ``round`` and ``line`` say whose runs
    they are, with the arm of the series; ``round`` is None of curves. ``lost`` counts runs that
    diverged or never started, ``censored`` those whose early stopping would come later.
    """

    x: float
    mean: float
    minimum: float
    maximum: float
    n: int
    interval: tuple[float, float] | None = None
    round: int | None = None
    line: str = ""
    lost: int = 0
    censored: int = 0


@dataclass(frozen=True)
class ChartSeries:
    """A line of a chart. ``arm`` and ``line`` are what a legend shows and hides; ``density`` in
    percent where a series stands for one.
    """

    label: str
    arm: str
    line: str
    look: Look
    points: tuple[ChartPoint, ...]
    density: float | None = None


@dataclass(frozen=True)
class ChartAxis:
    """``title`` with its unit; ``log``: whether it starts logarithmic; ``falling``: large values
    on the left, as densities are drawn. ``bottom``, ``top``: where it ends, None for anywhere.
    ``symlog``: logarithmic on both sides of zero, and even within this distance from it.
    """

    title: str
    log: bool = False
    falling: bool = False
    bottom: float | None = None
    top: float | None = None
    symlog: float | None = None


@dataclass(frozen=True)
class Chart:
    """One pair of axes. ``key`` is unique on a page; ``reference``: the dense mean, a thin line.

    ``by_density``: x is a density in percent of all weights, so that a part of it chooses rows of
    tables. ``own_legend``: its series differ in more than arms and lines, or look otherwise than in
    the other charts. ``side_by_side``: the horizontal axis has the series themselves.
    """

    key: str
    title: str
    x: ChartAxis
    y: ChartAxis
    series: tuple[ChartSeries, ...]
    reference: float | None = None
    by_density: bool = False
    own_legend: bool = False
    side_by_side: bool = False


def chart_point(
    x: float, summary: Summary, scale: float, round: int | None = None, line: str = ""
) -> ChartPoint:
    """The point of a summary, whose numbers are multiplied with ``scale``."""
    interval = t_interval(list(summary.replicates.values()))
    return ChartPoint(
        x,
        scale * summary.mean,
        scale * summary.minimum,
        scale * summary.maximum,
        summary.n,
        None if interval is None else (scale * interval.low, scale * interval.high),
        round,
        line,
    )


def scale_of(metric: str) -> float:
    """What values are multiplied with: accuracies are shown in percent."""
    return 100.0 if "accuracy" in metric else 1.0


def accuracy_limits(means: Iterable[float], middle: float | None = None) -> tuple[float, float]:
    """Where an axis of accuracies in percent ends, so that the region around ``middle`` (the dense
    mean, else the best) stays readable while collapsed networks leave it at the bottom: six times
    the median distance below, at least 6 points, and nothing wider than the values need.
    """
    listed = list(means)
    centre = max(listed) if middle is None else middle
    floor = centre - max(6 * median(abs(mean - centre) for mean in listed), 6)
    spare = max(0.05 * (max(listed) - max(min(listed), floor)), 0.5)
    return max(min(listed) - spare, floor, 0.0), min(max(listed) + spare, 100.5)
