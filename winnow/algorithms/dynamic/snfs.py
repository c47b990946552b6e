"""Sparse momentum (SNFS): layers and places for new weights from the momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from winnow.algorithms.dynamic.exchange import (
    counted,
    drop_smallest,
    grow_largest,
    room,
    share_out,
)
from winnow.algorithms.dynamic.method import Change, Moment
from winnow.algorithms.dynamic.rewiring import Rewiring, check_drop
from winnow.schedule import drop_fraction
from winnow.state import Tensors

_FLOOR = 0.005  # where the official cosine decay of the drop rate ends
_NEARLY_DENSE = 0.2  # sparsity below which a growing layer drops no more than its sparsity


@dataclass(frozen=True)
class SNFS(Rewiring):
    """Dettmers & Zettlemoyer 2019, "Sparse Networks from Scratch: Faster Training without Losing
    Performance", section 3.

    At the end of each epoch but the last, each layer drops the fraction p of its weights with the
    smallest |w|. As many in total are grown: a layer's share is proportional to the mean |momentum|
    of its weights (taken before the drop), and they go where |momentum| is largest among all that
    are not kept; what was just dropped may return, and then keeps its value. Grown weights start
    at 0. Momenta live on for removed weights and grow with their dense gradients, so that training
    is dense; grown weights go on with theirs. The optimizer needs a momentum; with Adam it is
    m / (√v + 1e-8).

    Defaults: every epoch, p = 0.5 falling to 0.005 by a cosine over the whole training, uniform
    layers. A layer less than 20 % sparse whose share is above average drops at most the fraction
    that its sparsity is. All as in the official code.

    Departures from it: the total is exact after each update, where the code rounds up, caps a
    layer's growth at 99 % of its room, spreads what is too much evenly (here by shares), and makes
    up for misses later; the density is exact at the start, where each weight is drawn by itself.
    """

    name: ClassVar[str] = "snfs"
    dense_slots: ClassVar[bool] = True
    extra_cost: ClassVar[str] = "with dense gradients"

    every: str = "1ep"
    distribution: str = "uniform"
    drop: float = 0.5
    decay: str = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_drop(self.drop, self.decay, 0.5)

    def update(self, at: Moment) -> Change:
        momentum = {name: at.momentum()[name].abs() for name in at.mask}
        shares = momentum_shares(momentum, at.mask)
        rate = drop_fraction(
            self.decay,
            at.step,
            end=at.timing.steps,
            fraction=self.drop,
            floor=min(_FLOOR, self.drop),
        )
        drops = drop_counts(at.mask, shares, rate)
        kept = drop_smallest(at.kept(), at.mask, drops)
        growth = share_out(sum(drops.values()), shares, room(kept))
        return Change(grow_largest(momentum, kept, growth))


def momentum_shares(momentum: Tensors, mask: Tensors) -> dict[str, float]:
    """Each layer's mean |momentum| over its kept weights, in units of the sum over layers."""
    means = {name: _mean(momentum[name], keep) for name, keep in mask.items()}
    whole = sum(means.values())
    return {name: mean / whole if whole else 0.0 for name, mean in means.items()}


def drop_counts(mask: Tensors, shares: dict[str, float], rate: float) -> dict[str, int]:
    """ceil(rate · n) of each layer; less where a nearly dense layer is growing."""
    counts = {}
    for name, n in counted(mask).items():
        sparsity = 1 - n / max(mask[name].numel(), 1)
        growing = shares[name] > 1 / len(shares)
        own = min(sparsity, rate) if sparsity < _NEARLY_DENSE and growing else rate
        counts[name] = math.ceil(own * n - 1e-6)
    return counts


def _mean(momentum: Tensor, keep: Tensor) -> float:
    values = momentum[keep].double()
    return float(values.mean()) if values.numel() else 0.0
