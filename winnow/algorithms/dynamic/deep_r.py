"""Deep-R: noisy weights of fixed sign, rewired at random whenever one crosses zero."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from winnow import rng
from winnow.algorithms.dynamic.exchange import counted, grow_random, narrowed, room
from winnow.algorithms.dynamic.method import Change, Memory, Moment
from winnow.algorithms.dynamic.rewiring import Rewiring
from winnow.algorithms.dynamic.timing import Timing
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.state import Tensors

_SCOPES = ("layer", "global")


@dataclass(frozen=True)
class DeepR(Rewiring):
    """Bellec et al. 2018, "Deep Rewiring: Training very sparse deep networks", Algorithm 1.

    A weight is w = s·θ with a fixed sign s, active while θ > 0. After each optimizer step active
    ones move by θ ← θ − η α + η ν, ν ~ N(0, σ²), where η is the learning rate; those with θ ≤ 0
    become dormant, and as many dormant ones, drawn at random, become active at θ = 1e-12 with
    optimizer slots 0. What was just dropped may return, at 1e-12. Signs: that of the first value
    for weights active at the start, else random.

    Defaults are those of the official script: every iteration, α = 1e-5 (``l1``), σ = 1e-5
    (``noise``), a constant number of weights in each layer, none dense. Its LeNet-300-100 keeps 1,
    3 and 30 % of its layers; Erdős–Rényi layers of as many weights keep 1.0, 3.0 and 24.5 %, and
    are the default here, for any network.
    ``temperature`` T replaces the noise by that of the paper, √(2 η T) ν with ν ~ N(0, 1).
    ``scope`` "global" keeps the total only, as the paper does: dormant weights of all layers are
    equally likely.

    Departures from the script: initial positions are drawn without replacement, so that the count
    is exact from the start; the signs of initial weights are theirs, not drawn again. DSR's version
    (noise on the gradient, growth at 0 with either sign, none that was just dropped) is another.
    """

    name: ClassVar[str] = "deep-r"

    every: str = "1it"
    distribution: str = "er"
    l1: float = 1e-5
    noise: float = 1e-5
    temperature: float | None = None
    scope: str = "layer"
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scope not in _SCOPES:
            raise UserError(f"scope is {self.scope!r}: Deep-R keeps counts by 'layer' or 'global'")
        for option in ("l1", "noise", "temperature"):
            value = getattr(self, option)
            if value is not None and not value >= 0:
                raise UserError(f"{option} is {value!r}: give a number from 0, e.g. 1e-5")
        if not self.epsilon >= 1e-37:
            raise UserError(f"epsilon is {self.epsilon!r}: give a positive float32, e.g. 1e-12")

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        # The last iteration, too, leaves no weight of the wrong sign.
        end = self.end or f"{steps + 1}it"
        return Rewiring.timing(replace(self, end=end), steps, per_epoch)

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:
        return Memory(tensors={"positive": _signs(weights, mask, seed)})

    def update(self, at: Moment) -> Change | None:
        positive = at.memory.tensors["positive"]
        signs = {name: positive[name][keep] for name, keep in at.mask.items()}
        at.perturb(lambda name, active: self._moved(at, name, active, signs[name]))
        values = at.kept()
        stays = {name: _has_sign(values[name], signs[name]) for name in signs}
        kept = {name: narrowed(keep, stays[name]) for name, keep in at.mask.items()}
        before, after = counted(at.mask), counted(kept)
        flipped = {name: before[name] - after[name] for name in before}
        if not any(flipped.values()):
            return None
        counts = flipped
        if self.scope == "global":
            counts = _anywhere(sum(flipped.values()), kept, at.seed, at.step)
        mask = grow_random(kept, counts, at.seed, self.name, at.step)
        grown = {name: mask[name] & ~kept[name] for name in mask if counts[name]}
        first = {n: _signed(positive[n][g], self.epsilon, values[n]) for n, g in grown.items()}
        return Change(mask, first, grown)

    def _moved(self, at: Moment, name: str, active: Tensor, positive: Tensor) -> Tensor:
        """Active values after −η α on θ and the noise."""
        scale = at.rate * self.noise
        if self.temperature is not None:
            scale = math.sqrt(2 * at.rate * self.temperature)
        normal = rng.stream(at.seed, "deep-r noise", at.step, name).standard_normal(
            len(active), np.float32
        )
        sign = _signed(positive, 1.0, active)
        return active - at.rate * self.l1 * sign + scale * torch.from_numpy(normal).to(active)


def _signs(weights: Tensors, mask: Mask, seed: int) -> dict[str, Tensor]:
    """Whether the sign of each weight is +: that of active weights, else drawn."""
    signs = {}
    for name, keep in mask.items():
        drawn = rng.stream(seed, "deep-r sign", name).random(keep.numel()) < 0.5
        random = torch.from_numpy(drawn).reshape(keep.shape).to(keep.device)
        signs[name] = torch.where(keep & (weights[name] != 0), weights[name] > 0, random)
    return signs


def _has_sign(weight: Tensor, positive: Tensor) -> Tensor:
    return ((weight > 0) == positive) & (weight != 0)


def _signed(positive: Tensor, size: float, like: Tensor) -> Tensor:
    return (positive.to(like) * 2 - 1) * size


def _anywhere(total: int, kept: Tensors, seed: int, step: int) -> dict[str, int]:
    """How many of ``total`` random dormant weights lie in each layer."""
    free = room(kept)
    draw = rng.stream(seed, "deep-r layers", step)
    counts = draw.multivariate_hypergeometric(list(free.values()), total)
    return {name: int(count) for name, count in zip(free, counts, strict=True)}
