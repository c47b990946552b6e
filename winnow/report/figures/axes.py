"""The axes of figures: density, from dense to sparse; accuracy, even in the log of the error; their
legend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from winnow.report.wording import percent

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_IN_A_ROW = 5  # of a legend
_HANDLE, _LETTER = 0.6, 0.075  # inches of a legend's line with its spaces, and of a letter


def density_axis(axes: Axes, densities: Sequence[float], marked: Sequence[float]) -> None:
    """A log axis of density_total in percent, dense at the left; see `falling_axis`."""
    values, ticks = ([100 * density for density in some] for some in (densities, marked))
    falling_axis(axes, values, ticks, lambda tick: percent(tick / 100))
    axes.set_xlabel("Weights remaining (density_total, %)")


def falling_axis(
    axes: Axes, every: Sequence[float], marked: Sequence[float], write: Callable[[float], str]
) -> None:
    """A log axis from the largest value at the left to the smallest.

    Ticks are at trained values, as many as can be read: at some of ``marked``, and at others where
    those leave a part of the axis bare.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    values, preferred = sorted(set(every), reverse=True), sorted(set(marked), reverse=True)
    ticks = _spread_out([preferred[0], preferred[-1], *preferred, *values])
    axes.set_xscale("log")
    axes.set_xlim(values[0] * 1.12, values[-1] / 1.12)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([write(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def accuracy_axis(panels: Sequence[Axes], means: Sequence[float]) -> None:
    """Accuracy in percent, even in the log of the error: from 98 to 99 is as far as 80 to 90.

    The same limits in all panels, so that all ``means`` are inside; bars may run off. Networks
    without any error are at the upper edge.
    """
    import numpy as np
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    errors = [100 - mean for mean in means]
    least = min((error for error in errors if error > 1e-6), default=1.0) / 2
    most = min(max(*errors, least) * 1.35, 100)
    edge = least / 1.02  # beyond the limit: the cap of a bar that runs off must not show

    def forward(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.log10(np.maximum(100 - np.asarray(accuracy), edge))

    def inverse(height: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 - 10.0 ** -np.asarray(height)

    for axes in panels:
        axes.set_yscale("function", functions=(forward, inverse))
        axes.set_ylim(100 - most, 100 - least)
        axes.yaxis.set_major_locator(FixedLocator(_accuracies(least, most)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
        axes.yaxis.set_minor_locator(NullLocator())


def legend_above(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend, above all panels, of every line once, no wider than the figure."""
    handles: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=min(len(handles), _MOST_IN_A_ROW, _that_fit(handles, figure.get_figwidth())),
        columnspacing=1.2,
    )


def _that_fit(labels: Iterable[str], width: float) -> int:
    """How many columns of a legend fit into so many inches, at least one."""
    longest = max(map(len, labels), default=0)
    return max(1, int(width / (_HANDLE + _LETTER * longest)))


def _accuracies(least: float, most: float) -> list[float]:
    """Round accuracies in percent whose errors lie between two; more of them in a narrow range."""
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        errors = [step * 10.0**power for power in range(-4, 3) for step in steps]
        inside = [round(100 - error, 6) for error in errors if least <= error <= min(most, 100)]
        if len(inside) > 3:
            break
    return inside


def _spread_out(candidates: Sequence[float], most: int = 8) -> list[float]:
    """About ``most`` of the candidates, far enough apart to be read; earlier ones come first."""
    gap = max((max(candidates) / min(candidates)) ** (1 / most), 1.02) * 0.999
    chosen: list[float] = []
    for value in candidates:
        if all(max(value, other) / min(value, other) >= gap for other in chosen):
            chosen.append(value)
    return sorted(chosen, reverse=True)
