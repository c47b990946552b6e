"""How far weights moved from where they were initialised, and whether away from zero.

Frankle & Carbin 2019, "The Lottery Ticket Hypothesis", appendix F.5: figure 19 shows the size of
the movement of the weights that end up in a winning ticket and of all others, figure 20 by how much
their magnitudes grew, both during the training of the unpruned network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from winnow.mask import Mask
from winnow.survivors import check_known


@dataclass(frozen=True)
class Movement:
    """Of ``count`` weights from w₀ to w; means are nan where there is no weight.

    ``signed``: mean of w − w₀. ``absolute``: mean of |w − w₀| (figure 19). ``relative``: Σ|w − w₀|
    over Σ|w₀|, as a mean of quotients is ruled by the weights that began nearest to zero.
    ``outward``: mean of |w| − |w₀|, above 0 for movement away from zero (figure 20).
    ``share_outward``: share of the weights with |w| > |w₀|. ``initial``: mean of |w₀|.
    """

    count: int
    signed: float
    absolute: float
    relative: float
    outward: float
    share_outward: float
    initial: float


@dataclass(frozen=True)
class _Sums:
    """What adds up over layers."""

    count: int
    signed: float
    absolute: float
    outward: float
    farther: int
    initial: float


def weight_movement(
    initial: Mapping[str, Tensor], weights: Mapping[str, Tensor], chosen: Mask
) -> Movement:
    """How far the weights that ``chosen`` keeps moved from ``initial`` to ``weights``.

    Those that a mask removes are chosen by ``mask.inverted()``: of the training of a dense network
    this tells the two apart; in a masked network removed weights are 0. Sums are taken in float64.
    ValueError when the mask does not fit one of the two.
    """
    return _movement(_sums(initial, weights, chosen).values())


def layer_movements(
    initial: Mapping[str, Tensor], weights: Mapping[str, Tensor], chosen: Mask
) -> dict[str, Movement]:
    """Name → `weight_movement` of that layer alone. ValueError as there."""
    return {name: _movement([sums]) for name, sums in _sums(initial, weights, chosen).items()}


def _sums(
    initial: Mapping[str, Tensor], weights: Mapping[str, Tensor], chosen: Mask
) -> dict[str, _Sums]:
    chosen.check_fits(initial)
    chosen.check_fits(weights)
    check_known(initial, chosen, "initial weights")
    check_known(weights, chosen, "weights")
    return {
        name: _of_layer(initial[name].detach().cpu()[keep], weights[name].detach().cpu()[keep])
        for name, keep in chosen.to("cpu").items()
    }


def _of_layer(before: Tensor, after: Tensor) -> _Sums:
    before, after = before.double(), after.double()
    change, outward = after - before, after.abs() - before.abs()
    return _Sums(
        before.numel(),
        float(change.sum()),
        float(change.abs().sum()),
        float(outward.sum()),
        int((outward > 0).sum()),
        float(before.abs().sum()),
    )


def _movement(layers: Iterable[_Sums]) -> Movement:
    layers = list(layers)
    count = sum(layer.count for layer in layers)
    absolute = math.fsum(layer.absolute for layer in layers)
    initial = math.fsum(layer.initial for layer in layers)
    return Movement(
        count,
        _quotient(math.fsum(layer.signed for layer in layers), count),
        _quotient(absolute, count),
        _quotient(absolute, initial),
        _quotient(math.fsum(layer.outward for layer in layers), count),
        _quotient(sum(layer.farther for layer in layers), count),
        _quotient(initial, count),
    )


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
