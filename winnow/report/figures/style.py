"""How every figure looks: colours, markers, the density axis, PNG and SVG.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind readers
can tell apart; markers, mostly dashes too, differ as well, so that a grey print still reads.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from winnow.experiment.arms import CONTROLS, OF_ROUNDS, Arm
from winnow.report.wording import percent

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of one line."""

    color: str
    marker: str
    dash: str


_METHODS = (  # in their order; each panel has its own
    Look("#0072B2", "o", "-"),
    Look("#D55E00", "s", "-"),
    Look("#009E73", "^", "-"),
    Look("#CC79A7", "D", "-"),
    Look("#56B4E9", "v", "-"),
    Look("#B8860B", "P", "-"),
    Look("#882255", "X", "-"),
)
_OF_ROUNDS = dict(
    zip(
        OF_ROUNDS,
        (
            Look("#0072B2", "o", "-"),  # ticket
            Look("#D55E00", "s", "--"),  # reinit
            Look("#009E73", "^", ":"),  # random
            Look("#CC79A7", "D", "-."),  # one-shot
            Look("#56B4E9", "v", "--"),  # one-shot-reinit
            Look("#882255", "h", "-."),  # continued
            Look("#B8860B", "X", ":"),  # random-reinit
        ),
        strict=True,
    )
)
_CONTROLS = dict(
    zip(
        CONTROLS,
        (
            Look("#D55E00", "s", "--"),  # reinit
            Look("#009E73", "^", ":"),  # random
            Look("#B8860B", "X", ":"),  # random-reinit
            Look("#009E73", "s", ":"),  # shuffled
            Look("#CC79A7", "X", "-."),  # inverted
        ),
        strict=True,
    )
)
DENSE_COLOR = "#333333"
REFERENCE_COLOR = "#999999"
ROUND_COLORS = ("#333333", "#56B4E9", "#0072B2", "#CC79A7", "#D55E00", "#009E73")

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "errorbar.capsize": 1.8,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.formatter.useoffset": False,
    "svg.hashsalt": "winnow",  # names inside the SVG are random numbers without it
    "svg.fonttype": "path",
}


@contextmanager
def paper() -> Iterator[None]:
    """The project's settings over matplotlib's defaults; the user's own stay as they were."""
    import matplotlib.style

    with matplotlib.style.context(["default", _SETTINGS]):
        yield


def looks(arms: Sequence[Arm]) -> list[Look]:
    """The look of each of some arms that are drawn together.

    Arms of rounds have the same in every figure, controls of a method that of their kind; methods
    take theirs in turn.
    """
    methods = cycle(_METHODS)
    return [
        _OF_ROUNDS.get(arm) or (_CONTROLS[arm.kind] if arm.is_control else next(methods))
        for arm in arms
    ]


def density_axis(axes: Axes, densities: Sequence[float], marked: Sequence[float]) -> None:
    """A log axis of density_total in percent, dense at the left.

    Ticks are at trained densities, as many as can be read: at some of ``marked``, and at others
    where those leave a part of the axis bare.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    values = sorted({100 * density for density in densities}, reverse=True)
    preferred = sorted({100 * density for density in marked}, reverse=True)
    ticks = _spread_out([preferred[0], preferred[-1], *preferred, *values])
    axes.set_xscale("log")
    axes.set_xlim(values[0] * 1.12, values[-1] / 1.12)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([percent(tick / 100) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Weights remaining (density_total, %)")


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


def _accuracies(least: float, most: float) -> list[float]:
    """Round accuracies in percent whose errors lie between two; more of them in a narrow range."""
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        errors = [step * 10.0**power for power in range(-4, 3) for step in steps]
        inside = [round(100 - error, 6) for error in errors if least <= error <= min(most, 100)]
        if len(inside) > 3:
            break
    return inside


def rendered(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as PNG (200 dpi) and as SVG, without a date: equal input, equal bytes."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return png.getvalue(), svg.getvalue()


def _spread_out(candidates: Sequence[float], most: int = 8) -> list[float]:
    """About ``most`` of the candidates, far enough apart to be read; earlier ones come first."""
    gap = max((max(candidates) / min(candidates)) ** (1 / most), 1.02) * 0.999
    chosen: list[float] = []
    for value in candidates:
        if all(max(value, other) / min(value, other) >= gap for other in chosen):
            chosen.append(value)
    return sorted(chosen, reverse=True)
