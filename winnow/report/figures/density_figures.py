"""Figures against density: early stopping, test and training accuracy, accuracy at given steps.

They follow figures 1, 4, 5, 7 and 8 of Frankle & Carbin 2019: density on a reversed log axis,
means over replicates, bars from the lowest to the highest single run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.report import wording
from winnow.report.figures import style
from winnow.report.figures.axes import accuracy_axis, legend_above
from winnow.report.figures.density_lines import draw_lines, limit_densities, limit_metric
from winnow.report.figures.drawing import Drawing
from winnow.report.figures.method_panels import draw_method_panels, panels_caption
from winnow.report.results import Results, bars, compares, has_early_stopping
from winnow.report.series import MOST_IN_A_PANEL, control_panels, shown_series
from winnow.report.statistics import ACCURACY_AT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (4.8, 3.4)  # inches
_COMPARED = (7.0, 5.4)  # inches, for the many lines of a comparison
_PANEL = 3.4  # inches, the width of one of several panels


@dataclass(frozen=True)
class _Plot:
    """One metric against density: where its values come from and how they are named."""

    name: str
    metric: str
    axis: str
    caption: str


_STOP = _Plot(
    "early-stopping",
    "stop_iteration",
    "Early-stopping iteration",
    "Iteration of minimum validation loss (early stopping) against the weights remaining.",
)
_AT_STOP = _Plot(
    "accuracy-at-stop",
    "stop_test_accuracy",
    "Test accuracy at early stopping (%)",
    "Test accuracy at early stopping against the weights remaining.",
)
_TRAIN_AT_STOP = _Plot(
    "train-accuracy-at-stop",
    "stop_train_accuracy",
    "Training accuracy at early stopping (%)",
    "Training accuracy at early stopping against the weights remaining.",
)
_SAMPLE_AT_STOP = _Plot(
    "train-sample-accuracy-at-stop",
    "stop_train_sample_accuracy",
    "Training accuracy (sample) at early stopping (%)",
    "Accuracy on a sample of the training images at early stopping against the weights remaining.",
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

_FINAL_SAMPLE = _Plot(
    "final-train-sample-accuracy",
    "final_train_sample_accuracy",
    "Training accuracy (sample) at the end (%)",
    "Accuracy on a sample of the training images at the end of training against the weights "
    "remaining.",
)


def draw_density_figures(results: Results) -> list[Drawing]:
    """The recipe's metrics against density, those that have any number."""
    plots = [plot for plot in _plots(results) if shown_series(results, plot.metric)]
    return [_density_figure(results, plot) for plot in plots]


def draw_controls(results: Results) -> Drawing | None:
    """Methods at initialisation and their controls, one panel for each method."""
    plot = _plots(results)[0]
    shown = control_panels(results, plot.metric)
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    means: list[float] = []
    for axes, panel in zip(panels, shown, strict=True):
        means += draw_lines(axes, results, plot.metric, panel.series)
        limit_densities(axes, panel.series)
        axes.set_title(panel.title)
    accuracy_axis(panels, means)
    panels[0].set_ylabel(plot.axis)
    legend_above(figure, panels)
    caption = (
        f"{plot.caption} Methods at initialisation and their controls: the mask shuffled within "
        "each layer, the mask on other initial weights, the smallest scores kept."
    )
    return _drawing(figure, results, "controls", caption, False)


def draw_steps(results: Results) -> Drawing | None:
    """Test accuracy at the steps that the recipe names, one panel for each."""
    steps = sorted({step for row in results.rows for step in row.accuracy_at})
    steps = [step for step in steps if shown_series(results, f"{ACCURACY_AT}{step}")]
    if not steps:
        return None
    figure, panels = _panels(len(steps))
    clipped = False
    for axes, step in zip(panels, steps, strict=True):
        clipped |= _draw(axes, results, f"{ACCURACY_AT}{step}")
        axes.set_title(f"at iteration {step:,}")
    panels[0].set_ylabel("Test accuracy (%)")
    legend_above(figure, panels[:1])
    caption = "Test accuracy at given iterations against the weights remaining."
    return _drawing(figure, results, "accuracy-at-steps", caption, clipped)


def _plots(results: Results) -> list[_Plot]:
    """What is drawn; the first is what methods are compared on."""
    stops = has_early_stopping(results)
    if compares(results):
        return [_AT_STOP if stops else _FINAL]
    if stops:
        return [_STOP, _AT_STOP, _TRAIN_AT_STOP, _SAMPLE_AT_STOP, _FINAL]
    return [_FINAL, _FINAL_TRAIN, _FINAL_SAMPLE]


def _density_figure(results: Results, plot: _Plot) -> Drawing:
    if compares(results) and len(shown_series(results, plot.metric)) > MOST_IN_A_PANEL:
        figure = draw_method_panels(results, plot.metric, plot.axis)
        caption = f"{plot.caption} {panels_caption(results)}"
        return _drawing(figure, results, plot.name, caption, False)
    figure, (axes,) = _panels(1)
    if compares(results):
        figure.set_size_inches(*_COMPARED)
    clipped = _draw(axes, results, plot.metric)
    axes.set_ylabel(plot.axis)
    legend_above(figure, [axes])
    return _drawing(figure, results, plot.name, plot.caption, clipped)


def _draw(axes: Axes, results: Results, metric: str) -> bool:
    """Every series of a metric, and the axes' limits; whether some means run off them."""
    series = shown_series(results, metric)
    means = draw_lines(axes, results, metric, series)
    limit_densities(axes, series)
    return limit_metric(axes, results, metric, means)


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    size = _SIZE if count == 1 else (_PANEL * count, _SIZE[1])
    figure = Figure(figsize=size, layout="constrained")
    return figure, [figure.add_subplot(1, count, index + 1) for index in range(count)]


def _drawing(figure: Figure, results: Results, name: str, caption: str, clipped: bool) -> Drawing:
    n = len({row.replicate for row in results.rows if row.status == "done"})
    spread = {
        "min-max": ", bars go from the lowest to the highest single run",
        "interval": ", bars are 95 % t-intervals of the mean at one density (not corrected for "
        "several)",
    }[bars(results)]
    text = f"{caption} Lines are means over {wording.plural(n, 'replicate')}"
    text += f"{spread if n > 1 else ''}; the dotted line is the dense mean."
    if compares(results):
        text += " The axis is even in the log of the error, so that high accuracies stay apart."
    if clipped:
        text += " Lower values run off the axis; the table has them."
    png, svg = style.rendered(figure)
    return Drawing(name, text, png, svg, wide=len(figure.axes) > 1)
