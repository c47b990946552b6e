"""Learning curves, drawn: accuracy against iteration, the dense network in every panel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from winnow.experiment.arms import TICKET
from winnow.report import wording
from winnow.report.curves import Band, curve_panels, shows_test_accuracy
from winnow.report.figures import style
from winnow.report.figures.drawing import Drawing
from winnow.report.results import Results, has_early_stopping
from winnow.report.statistics import points, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = 12  # bars on one line


def draw_learning_curves(results: Results) -> Drawing | None:
    """The learning curves; None when no dense run has a curve."""
    panels = curve_panels(results)
    if not panels:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.0 + 3.3 * len(panels), 3.4), layout="constrained")
    every = [line for bands in panels.values() for line in bands]
    colors, last = _colors(every), _last_step(results, every)
    first = None
    for index, (title, bands) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1, sharey=first, sharex=first)
        first = first or axes
        _draw_panel(axes, title, bands, colors, last)
    assert first is not None
    _limit(first, every, last)
    first.set_ylabel(f"{'Test' if shows_test_accuracy(results) else 'Validation'} accuracy (%)")
    png, svg = style.rendered(figure)
    return Drawing("learning-curves", _caption(results), png, svg, wide=len(panels) > 1)


def _colors(bands: Sequence[Band]) -> dict[int, str]:
    """A colour for each round, the same in all panels; arms differ by their dash."""
    rounds = sorted({line.round for line in bands})
    shades = style.ROUND_COLORS
    return {number: shades[index % len(shades)] for index, number in enumerate(rounds)}


def _last_step(results: Results, bands: Sequence[Band]) -> int:
    """Where the axis ends: past the early stopping of all lines, after which little happens."""
    end = max(line.steps[-1] for line in bands)
    if not has_early_stopping(results):
        return end
    stops = []
    for line in bands:
        shown = (line.arm.name, line.round)
        rows = [row for row in results.rows if (row.arm, row.round) == shown]
        summary = summarize(rows, "stop_iteration")
        stops.append(summary.maximum if summary else end)
    return min(end, math.ceil(1.3 * max(stops)))


def _draw_panel(
    axes: Axes, title: str, bands: Sequence[Band], colors: Mapping[int, str], last: int
) -> None:
    from matplotlib.ticker import MaxNLocator

    for index, line in enumerate(bands):
        kept = [index for index, step in enumerate(line.steps) if step <= last]
        every = max(len(kept) // _BARS, 1)
        axes.errorbar(
            [line.steps[index] for index in kept],
            [100 * line.mean[index] for index in kept],
            yerr=_bars(line, kept),
            errorevery=(index * every // len(bands), every),
            color=colors[line.round],
            linestyle="--" if line.arm.is_control else "-",
            elinewidth=0.7,
            capsize=1.2,
            label=_label(line),
        )
    axes.set_title(title)
    axes.set_xlabel("Training iteration")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="lower right")


def _bars(line: Band, kept: Sequence[int]) -> list[list[float]] | None:
    """Lengths of the bars down and up, in points; None for a single run."""
    if line.low == line.high:
        return None
    return [
        [max(100 * (line.mean[index] - line.low[index]), 0) for index in kept],
        [max(100 * (line.high[index] - line.mean[index]), 0) for index in kept],
    ]


def _label(line: Band) -> str:
    density = f"{wording.percent(line.density_total)} %"
    return density if line.arm == TICKET else f"{density} {line.arm.name}"


def _limit(axes: Axes, bands: Sequence[Band], last: int) -> None:
    """Leave out the climb from chance level, in which the lines cannot be told apart."""
    late = [
        value
        for line in bands
        for step, value in zip(line.steps, line.mean, strict=True)
        if 0.2 * last <= step <= last
    ]
    top = max(max(line.high) for line in bands)
    bottom = min(late, default=min(min(line.low) for line in bands))
    margin = max(0.1 * (top - bottom), 0.002)
    axes.set_ylim(100 * (bottom - margin), 100 * min(top + margin, 1.002))
    axes.set_xlim(0, last)


def _caption(results: Results) -> str:
    kind = "Test" if shows_test_accuracy(results) else "Validation"
    counted = points(results.rows, TICKET.name, "final_test_accuracy")
    n = max((point.summary.n for point in counted), default=1)
    spread = ", bars go from the lowest to the highest single run" if n > 1 else ""
    return (
        f"{kind} accuracy during training, for some densities (density_total; 100 % is dense). "
        f"Lines are means over {wording.plural(n, 'replicate')}{spread}. The climb from chance "
        "level lies below the axis."
    )
