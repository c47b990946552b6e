"""The figure of many methods: a panel for each kind of method, with the same axes in all."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from winnow.report.figures.axes import accuracy_axis, density_axis
from winnow.report.figures.density_lines import draw_lines, draw_reference
from winnow.report.results import Results
from winnow.report.series import Panel, method_panels, random_masks, shown_series
from winnow.report.statistics import same_density

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (4.3, 3.3)  # inches
_WIDTH = 1.07  # how many times too dense the first line is drawn, at most


def draw_method_panels(results: Results, metric: str, label: str) -> Figure:
    """A panel for each kind, two in a row, with dense and random masks in all."""
    from matplotlib.figure import Figure

    panels = method_panels(results, metric)
    columns, rows = min(len(panels), 2), ceil(len(panels) / 2)
    figure = Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    every = [figure.add_subplot(rows, columns, index + 1) for index in range(len(panels))]
    means: list[float] = []
    for axes, panel in zip(every, panels, strict=True):
        means += _draw_panel(axes, results, metric, panel)
    accuracy_axis(every, means)
    shown = shown_series(results, metric)
    totals = [point.density_total for line in shown for point in line.points]
    for index, axes in enumerate(every):
        density_axis(axes, totals, totals)
        _legend(axes)
        if index % columns == 0:
            axes.set_ylabel(label)
        if index + columns < len(every):
            axes.set_xlabel("")
    return figure


def panels_caption(results: Results) -> str:
    """What a reader of the panels must know."""
    random = random_masks(results)
    grey = f", with {random.name} in grey in each" if random else ""
    return (
        f"A panel for each kind of method{grey}. Lines of one panel are set apart sideways, so "
        "that their bars can be seen."
    )


def _draw_panel(axes: Axes, results: Results, metric: str, panel: Panel) -> list[float]:
    """The lines of a panel and those to compare them with; every mean, as on the axis."""
    axes.set_title(panel.title)
    means = draw_lines(axes, results, metric, panel.series, _width(results))
    random = random_masks(results)
    for series in shown_series(results, metric):
        means += draw_reference(axes, series, metric) if series.arm == random else []
    return means


def _width(results: Results) -> float:
    """How far lines are set apart: little beside the steps from density to density."""
    densities = sorted({row.density_total for row in results.rows})
    steps = [more / less for less, more in pairwise(densities) if not same_density(less, more)]
    return float(min(_WIDTH, min(steps, default=_WIDTH) ** 0.25))


def _legend(axes: Axes) -> None:
    """Inside, where hardly a line goes: accuracies fall to the right."""
    handles, labels = axes.get_legend_handles_labels()
    plain = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    axes.legend(
        plain,
        labels,
        loc="lower left",
        labelspacing=0.3,
        frameon=True,
        edgecolor="none",
        framealpha=0.75,
        borderaxespad=0.2,
    )
