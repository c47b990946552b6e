"""The gain of a ticket over a random mask with new weights, in parts that sum to it.

Five networks at the ticket's global density, a(mask, weights) their accuracies:

    a(m, θ)   ticket          its mask and its weights
    a(m, θ')  reinit          its mask, new initial weights
    a(r, θ)   random          another mask of the same layer densities, the ticket's weights
    a(r, θ')  random-reinit   such a mask, new initial weights
    a(u, θ')  uniform-reinit  a mask drawn from all weights alike, new initial weights

    layer densities  D = a(r, θ') − a(u, θ')
    mask             M = ½ [a(m, θ') − a(r, θ')] + ½ [a(m, θ) − a(r, θ)]
    initialisation   I = ½ [a(r, θ) − a(r, θ')] + ½ [a(m, θ) − a(m, θ')]
    gain             G = a(m, θ) − a(u, θ') = D + M + I
    interaction      X = a(m, θ) − a(m, θ') − a(r, θ) + a(r, θ')

M and I are the Shapley values (Shapley 1953, "A value for n-person games") of the game in which
mask and weights of the ticket join in either order, from a mask of its layer densities with new
weights on: each is the mean of what it brings first and what it brings second, so that half of X
is in each. D comes before both, as one cannot have the mask without its layer densities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.report.statistics import Interval, t_interval

TICKET_CELL, REINIT_CELL, RANDOM_CELL = "ticket", "reinit", "random"
BOTH_CELL, UNIFORM_CELL = "random-reinit", "uniform-reinit"
CELLS = (TICKET_CELL, REINIT_CELL, RANDOM_CELL, BOTH_CELL, UNIFORM_CELL)
"""The five networks, from the most of a ticket to the least."""

LAYERS, MASK, INITIALISATION = "layer densities", "mask", "initialisation"
PARTS = (LAYERS, MASK, INITIALISATION)

_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    LAYERS: {BOTH_CELL: 1, UNIFORM_CELL: -1},
    MASK: {TICKET_CELL: 0.5, REINIT_CELL: 0.5, RANDOM_CELL: -0.5, BOTH_CELL: -0.5},
    INITIALISATION: {TICKET_CELL: 0.5, REINIT_CELL: -0.5, RANDOM_CELL: 0.5, BOTH_CELL: -0.5},
}
_GAIN = {TICKET_CELL: 1.0, UNIFORM_CELL: -1.0}
_INTERACTION = {TICKET_CELL: 1.0, REINIT_CELL: -1.0, RANDOM_CELL: -1.0, BOTH_CELL: 1.0}


@dataclass(frozen=True)
class Part:
    """A sum over the cells: its mean over replicates and its paired t-interval.

    ``interval``: None with one replicate, and where all replicates agree.
    """

    name: str
    mean: float
    interval: Interval | None

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True)
class Decomposition:
    """The gain of a ticket and its parts, over ``n`` replicates.

    ``cells``: the mean accuracy of each network. ``parts``: in the order of `PARTS`; their 95 %
    intervals hold together (Bonferroni over the three). ``gain`` and ``interaction``: intervals of
    95 % each.
    """

    cells: Mapping[str, float]
    parts: tuple[Part, ...]
    gain: Part
    interaction: Part
    n: int

    @property
    def told(self) -> tuple[Part, ...]:
        """The parts that can be told from nothing, the largest first."""
        return tuple(sorted((p for p in self.parts if p.is_told), key=lambda p: -abs(p.mean)))


def decompose(cells: Mapping[str, Mapping[int, float]]) -> Decomposition | None:
    """The parts of a gain, from cell → replicate → accuracy (the mean over draws).

    Over the replicates that all five cells have; None without one. Raises ValueError for a cell
    that is missing or unknown.
    """
    if set(cells) != set(CELLS):
        raise ValueError(f"the cells are {', '.join(CELLS)}, and given are {', '.join(cells)}")
    both = sorted(set.intersection(*(set(cells[name]) for name in CELLS)))
    if not both:
        return None
    return Decomposition(
        cells={name: _mean([cells[name][number] for number in both]) for name in CELLS},
        parts=tuple(
            _part(name, _values(cells, weights, both), len(PARTS))
            for name, weights in _WEIGHTS.items()
        ),
        gain=_part("gain", _values(cells, _GAIN, both)),
        interaction=_part("interaction", _values(cells, _INTERACTION, both)),
        n=len(both),
    )


def _values(
    cells: Mapping[str, Mapping[int, float]], weights: Mapping[str, float], both: Sequence[int]
) -> list[float]:
    """The weighted sum of the cells, in each replicate."""
    return [math.fsum(w * cells[name][number] for name, w in weights.items()) for number in both]


def _part(name: str, values: Sequence[float], comparisons: int = 1) -> Part:
    return Part(name, _mean(values), t_interval(values, comparisons=comparisons))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
