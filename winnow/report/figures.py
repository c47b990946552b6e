"""Figures against density: early stopping, test and training accuracy, accuracy at given steps.

They follow figures 1, 4, 5, 7 and 8 of Frankle & Carbin 2019: density on a reversed log axis,
means over replicates, bars from the lowest to the highest single run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.report import curves, kinds, lines, style, wording
from winnow.report.comparison import controls_of, methods_of
from winnow.report.drawing import Drawing
from winnow.report.results import Results, arms, bars, compares, has_early_stopping
from winnow.report.statistics import ACCURACY_AT, points

if TYPE_CHECKING:
    from matplotlib.artist import Artist
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
    compared = kinds.shown(results, plot.metric)
    if len(compared) > kinds.MOST:
        figure = kinds.draw(results, plot.metric, plot.axis)
        return _drawing(
            figure, results, plot.name, f"{plot.caption} {kinds.caption(results)}", False
        )
    figure, (axes,) = _panels(1)
    if compares(results):
        figure.set_size_inches(*_COMPARED)
    looks = dict(zip(compared, style.PANEL, strict=False))
    means = lines.draw(axes, results, plot.metric, looks=looks)
    clipped = lines.limit(axes, results, plot.metric, means)
    axes.set_ylabel(plot.axis)
    _legend(figure, axes)
    return _drawing(figure, results, plot.name, plot.caption, clipped)


def _controls_figure(results: Results, plot: _Plot) -> Drawing | None:
    """Methods at initialisation and their controls, one panel for each method."""
    shown: dict[str, dict[str, str]] = {}
    for arm, method in controls_of(results).items():
        if points(results.rows, arm, plot.metric):
            inside = shown.setdefault(method, {"method": method})
            inside[arm.removeprefix(f"{method}-")] = arm
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    means: list[float] = []
    for axes, (method, inside) in zip(panels, shown.items(), strict=True):
        means += lines.draw(axes, results, plot.metric, inside)
        axes.set_title(method)
    style.accuracy_axis(panels, means)
    panels[0].set_ylabel(plot.axis)
    _legend(figure, *panels)
    caption = (
        f"{plot.caption} Methods at initialisation and their controls: the mask shuffled within "
        "each layer, the mask on other initial weights, the smallest scores kept."
    )
    return _drawing(figure, results, "controls", caption, False)


def _steps_figure(results: Results) -> Drawing | None:
    """Test accuracy at the steps that the recipe names, one panel for each."""
    steps = sorted({step for row in results.rows for step in row.accuracy_at})
    steps = [step for step in steps if _has(results, f"{ACCURACY_AT}{step}")]
    if not steps:
        return None
    figure, panels = _panels(len(steps))
    clipped = False
    for axes, step in zip(panels, steps, strict=True):
        metric = f"{ACCURACY_AT}{step}"
        clipped |= lines.limit(axes, results, metric, lines.draw(axes, results, metric))
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


def _has(results: Results, metric: str) -> bool:
    shown = methods_of(results) or arms(results)
    return any(points(results.rows, arm, metric) for arm in shown)


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
    if compares(results):
        text += " The axis is even in the log of the error, so that high accuracies stay apart."
    if clipped:
        text += " Lower values run off the axis; the table has them."
    png, svg = style.rendered(figure)
    return Drawing(name, text, png, svg, wide=len(figure.axes) > 1)
