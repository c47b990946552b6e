"""How every figure looks: colours, markers, dashes, and how it becomes PNG and SVG.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind readers
can tell apart; markers, mostly dashes too, differ as well, so that a grey print still reads.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

from winnow.experiment.arms import CONTROLS, OF_ROUNDS, Arm

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of one line."""

    color: str
    marker: str
    dash: str


IN_TURN = (  # in their order; each panel has its own
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
            Look("#D55E00", "D", ":"),  # reinit-masked
            Look("#B8860B", "P", "--"),  # permuted
            Look("#56B4E9", "o", ":"),  # order
            Look("#009E73", "o", "--"),  # random-order
            Look("#882255", "v", ":"),  # at-init
            Look("#777777", "d", "-."),  # noise
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
    methods, markers = cycle(IN_TURN), cycle("dp<>8H")
    return [
        replace(_CONTROLS["noise"], marker=next(markers))
        if arm.kind == "noise"
        else _OF_ROUNDS.get(arm) or (_CONTROLS[arm.kind] if arm.is_control else next(methods))
        for arm in arms
    ]


def rendered(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as PNG (200 dpi) and as SVG, without a date: equal input, equal bytes."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return png.getvalue(), svg.getvalue()
