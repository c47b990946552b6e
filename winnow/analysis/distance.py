"""How far apart the trained weights of two networks are, in length and in direction.

Frankle, Dziugaite, Roy & Carbin 2019, "Stabilizing the Lottery Ticket Hypothesis", section 2: the
L2 distance ‖m ⊙ W − m ⊙ W'‖₂ between masked, trained weights, and, in its appendix B, the angle
between them. *Stability to pruning*: W is the trained dense network, W' the sub-network trained
from the same start. *Stability to data order*: both are trainings of one sub-network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from winnow.mask import Mask
from winnow.survivors import check_known


@dataclass(frozen=True)
class WeightDistance:
    """Between two vectors of weights. ``angle``: in degrees, from 0 to 180; nan where one of them
    is zero. ``cosine``: of the angle. ``norm_first``, ``norm_second``: L2 norms.
    """

    distance: float
    angle: float
    cosine: float
    norm_first: float
    norm_second: float


_Pair = tuple[Tensor, Tensor]  # of one layer: kept weights of each, float64, one-dimensional


def weight_distance(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], mask: Mask
) -> WeightDistance:
    """The distance and the angle between m ⊙ W and m ⊙ W', over the weights that ``mask`` covers.

    ``first``, ``second``: name → weights; they may have more names than the mask. Sums are taken in
    float64. The angle is 2 atan2(‖u − v‖, ‖u + v‖) of the unit vectors u and v (Kahan), which keeps
    its digits near 0° and 180°, where the arc cosine loses half of them.
    ValueError when the mask does not fit one of them.
    """
    return _distance(_pairs(first, second, mask).values())


def layer_distances(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], mask: Mask
) -> dict[str, WeightDistance]:
    """Name → `weight_distance` of that layer alone. ValueError as there."""
    return {name: _distance([pair]) for name, pair in _pairs(first, second, mask).items()}


def _pairs(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], mask: Mask
) -> dict[str, _Pair]:
    mask.check_fits(first)
    mask.check_fits(second)
    check_known(first, mask, "the first weights")
    check_known(second, mask, "the second weights")
    return {
        name: (_kept(first[name], keep), _kept(second[name], keep)) for name, keep in mask.items()
    }


def _kept(weights: Tensor, keep: Tensor) -> Tensor:
    return weights.detach().masked_select(keep.to(weights.device)).double()


def _distance(pairs: Iterable[_Pair]) -> WeightDistance:
    pairs = list(pairs)
    norm_first, norm_second = (
        math.sqrt(sum(float(pair[side].square().sum()) for pair in pairs)) for side in (0, 1)
    )
    distance = math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))
    if norm_first == 0 or norm_second == 0:
        return WeightDistance(distance, math.nan, math.nan, norm_first, norm_second)
    apart = sum(float((a / norm_first - b / norm_second).square().sum()) for a, b in pairs)
    along = sum(float((a / norm_first + b / norm_second).square().sum()) for a, b in pairs)
    angle = 2 * math.atan2(math.sqrt(apart), math.sqrt(along))
    return WeightDistance(
        distance, math.degrees(angle), (along - apart) / 4, norm_first, norm_second
    )
