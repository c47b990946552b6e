"""Figures against density: early stopping, test and training accuracy, accuracy at given steps.

They follow figures 1, 4, 5, 7 and 8 of Frankle & Carbin 2019: density on a reversed log axis,
means over replicates, bars from the lowest to the highest single run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from winnow.report import curves, style, wording
from winnow.report.comparison import controls_of, methods_of
from winnow.report.drawing import Drawing
from winnow.report.results import Results, arms, bars, compares, has_early_stopping
from winnow.report.statistics import ACCURACY_AT, Point, dense, points, t_interval

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (4.8, 3.4)  # inches
_COMPARED = (7.0, 5.4)  # inches, for the many lines of a comparison
_PANEL = 3.4  # inches, the width of one of several panels
_NARROWEST = 1.0  # points of accuracy on an axis; a closer look would magnify chance


@dataclass(frozen=True)
class _Plot:
    """One metric against density: where its values come from and how they are named."""

    name: str
    metric: str
    axis: str
    caption: str


_STOPPING = (
    _Plot(
        "early-stopping",
        "stop_iteration",
        "Early-stopping iteration",
        "Iteration of minimum validation loss (early stopping) against the weights remaining.",
    ),
    _Plot(
        "accuracy-at-stop",
        "stop_test_accuracy",
        "Test accuracy at early stopping (%)",
        "Test accuracy at early stopping against the weights remaining.",
    ),
    _Plot(
        "train-accuracy-at-stop",
        "stop_train_accuracy",
        "Training accuracy at early stopping (%)",
        "Training accuracy at early stopping against the weights remaining.",
    ),
)
_FINAL = _Plot(
    "final-accuracy",
    "final_test_accuracy",
    "Test accuracy at the end (%)",
    "Test accuracy at the end of training against the weights remaining.",
)
_FINAL_TRAIN = _Plot(
    "final-train-accuracy",
    "final_train_accuracy",
    "Training accuracy at the end (%)",
    "Training accuracy at the end of training against the weights remaining.",
)


def draw(results: Results) -> list[Drawing]:
    """All figures of one recipe that its rows and curves can fill."""
    if compares(results):
        with style.paper():
            plot = _STOPPING[1] if has_early_stopping(results) else _FINAL
            both = (_density_figure(results, plot), _controls_figure(results, plot))
            return [made for made in both if made]
    plots = (*_STOPPING, _FINAL) if has_early_stopping(results) else (_FINAL, _FINAL_TRAIN)
    with style.paper():
        made = [_density_figure(results, plot) for plot in plots]
        made += [_steps_figure(results), curves.draw(results)]
    return [drawing for drawing in made if drawing is not None]


def _density_figure(results: Results, plot: _Plot) -> Drawing | None:
    if not _has(results, plot.metric):
        return None
    figure, (axes,) = _panels(1)
    if compares(results):
        figure.set_size_inches(*_COMPARED)
    clipped = _lines(axes, results, plot.metric)
    axes.set_ylabel(plot.axis)
    _legend(figure, axes)
    return _drawing(figure, results, plot.name, plot.caption, clipped)


def _controls_figure(results: Results, plot: _Plot) -> Drawing | None:
    """Methods at initialisation and their controls, one panel for each method."""
    shown: dict[str, dict[str, str]] = {}
    for arm, method in controls_of(results).items():
        if points(results.rows, arm, plot.metric):
            lines = shown.setdefault(method, {"method": method})
            lines[arm.removeprefix(f"{method}-")] = arm
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    clipped = False
    for axes, (method, lines) in zip(panels, shown.items(), strict=True):
        clipped |= _lines(axes, results, plot.metric, lines)
        axes.set_title(method)
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    panels[0].set_ylabel(plot.axis)
    _legend(figure, *panels)
    caption = (
        f"{plot.caption} Methods at initialisation and their controls: the mask shuffled within "
        "each layer, the mask on other initial weights, the smallest scores kept."
    )
    return _drawing(figure, results, "controls", caption, clipped)


def _steps_figure(results: Results) -> Drawing | None:
    """Test accuracy at the steps that the recipe names, one panel for each."""
    steps = sorted({step for row in results.rows for step in row.accuracy_at})
    steps = [step for step in steps if _has(results, f"{ACCURACY_AT}{step}")]
    if not steps:
        return None
    figure, panels = _panels(len(steps))
    clipped = False
    for axes, step in zip(panels, steps, strict=True):
        clipped |= _lines(axes, results, f"{ACCURACY_AT}{step}")
        axes.set_title(f"at iteration {step:,}")
    panels[0].set_ylabel("Test accuracy (%)")
    _legend(figure, panels[0])
    caption = "Test accuracy at given iterations against the weights remaining."
    return _drawing(figure, results, "accuracy-at-steps", caption, clipped)


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    size = _SIZE if count == 1 else (_PANEL * count, _SIZE[1])
    figure = Figure(figsize=size, layout="constrained")
    return figure, [figure.add_subplot(1, count, place + 1) for place in range(count)]


def _lines(
    axes: Axes, results: Results, metric: str, shown: Mapping[str, str] | None = None
) -> bool:
    """One line for each arm and a thin one at the dense mean; whether some end below the axis.

    ``shown``: label → arm, where not all arms are shown under their own names.
    """
    scale = 1 if metric == "stop_iteration" else 100
    if shown is None:
        shown = {arm: arm for arm in methods_of(results) or arms(results.rows)}
    present = tuple(shown)
    series = {label: points(results.rows, arm, metric) for label, arm in shown.items()}
    reference = dense(results.rows, metric)
    if reference is not None:
        level = scale * reference.mean
        axes.axhline(level, color=style.DENSE, lw=1, ls=(0, (1, 1.5)), zorder=1, label="dense")
    extent = _extents(results)
    for arm, found in series.items():
        if found:
            _line(axes, arm, found, scale, style.look(arm, present), extent)
    every = [point for found in series.values() for point in found]
    marked = next(found for found in series.values() if found)
    totals = [point.density_total for point in every]
    style.density_axis(axes, totals, [point.density_total for point in marked])
    if scale == 1:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        return False
    return _zoom(axes, every, reference.mean if reference else None)


Extent = Callable[[Point], tuple[float, float]]


def _line(
    axes: Axes, arm: str, found: Sequence[Point], scale: int, how: style.Look, extent: Extent
) -> None:
    means = [point.summary.mean for point in found]
    ends = [extent(point) for point in found]
    axes.errorbar(
        [100 * point.density_total for point in found],
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
        label=arm,
        zorder=3 if arm == "ticket" else 2,
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


def _zoom(axes: Axes, every: Sequence[Point], reference: float | None) -> bool:
    """Keep the region around dense readable: collapsed networks leave the axis at the bottom.

    The axis goes down to six times the median distance from dense, and at least 6 points. The
    paper's own figures are cut in this way by hand.
    """
    middle = max(point.summary.mean for point in every) if reference is None else reference
    distances = [abs(point.summary.mean - middle) for point in every]
    floor = 100 * (middle - max(6 * median(distances), 0.06))
    bottom, top = axes.get_ylim()
    spare = max(_NARROWEST - (top - bottom), 0) / 2
    axes.set_ylim(max(bottom - spare, floor), min(top + spare, 100.5))
    return any(100 * point.summary.mean < floor for point in every)


def _has(results: Results, metric: str) -> bool:
    return any(points(results.rows, arm, metric) for arm in arms(results.rows))


def _legend(figure: Figure, *panels: Axes) -> None:
    """One legend, above all panels, of every line once."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper center",
        ncols=min(len(found), 5),
        columnspacing=1.2,
    )


def _drawing(figure: Figure, results: Results, name: str, caption: str, clipped: bool) -> Drawing:
    n = len({row.replicate for row in results.rows if row.status == "done"})
    said = [caption, f"Lines are means over {wording.plural(n, 'replicate')}"]
    if n > 1:
        shown = (
            "from the lowest to the highest single run"
            if bars(results) == "min-max"
            else "95 % t-intervals of the mean at one density (not corrected for several)"
        )
        said[-1] += f", bars go {shown}" if bars(results) == "min-max" else f", bars are {shown}"
    text = f"{said[0]} {said[1]}; the dotted line is the dense mean."
    if clipped:
        text += " Lower values run off the axis; the table has them."
    png, svg = style.rendered(figure)
    return Drawing(name, text, png, svg, wide=len(figure.axes) > 1)
