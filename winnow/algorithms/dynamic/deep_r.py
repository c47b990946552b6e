"""Deep-R: noisy weights of fixed sign, rewired at random whenever one crosses zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from winnow import rng
from winnow.algorithms.dynamic.exchange import chosen_of, draw_vacant, merged
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
        where = at.positions()
        positive = {n: p.reshape(-1) for n, p in at.memory.tensors["positive"].items()}
        signs = {name: positive[name][own] for name, own in where.items()}
        values: dict[str, Tensor] = {}

        def move(name: str, active: Tensor) -> Tensor:
            values[name] = self._moved(at, name, active, signs[name])
            return values[name]

        at.perturb(move)
        stays = {name: _has_sign(values[name], signs[name]) for name in signs}
        held = {name: _held(own, stays[name]) for name, own in where.items()}
        counts = {name: len(where[name]) - len(own) for name, own in held.items()}
        if not any(counts.values()):
            return None
        sizes = {name: keep.numel() for name, keep in at.mask.items()}
        if self.scope == "global":
            free = {name: sizes[name] - len(own) for name, own in held.items()}
            counts = _anywhere(sum(counts.values()), free, at.seed, at.step)
        path = self.name, at.step
        more = {
            name: draw_vacant(held[name], sizes[name], count, at.seed, *path, name).sort().values
            for name, count in counts.items()
            if count
        }
        return Change(
            mask={
                n: _rewired(keep, where[n], stays[n], more.get(n)) for n, keep in at.mask.items()
            },
            values={
                n: _signed(positive[n][new], self.epsilon, values[n]) for n, new in more.items()
            },
            grown={n: _only(at.mask[n], new) for n, new in more.items()},
            known={n: merged(own, more[n]) if n in more else own for n, own in held.items()},
        )

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


def _held(where: Tensor, stays: Tensor) -> Tensor:
    """Where those weights are that stay."""
    return where if bool(stays.all()) else chosen_of(where, stays)


def _rewired(keep: Tensor, where: Tensor, stays: Tensor, more: Tensor | None) -> Tensor:
    """The mask without what does not stay, and with ``more``, which may be the same."""
    mask = keep.clone()
    mask.view(-1)[chosen_of(where, ~stays)] = False
    if more is not None:
        mask.view(-1)[more] = True
    return mask


def _only(like: Tensor, where: Tensor) -> Tensor:
    """True there, and False elsewhere."""
    bits = torch.zeros_like(like)
    bits.view(-1)[where] = True
    return bits


def _anywhere(total: int, free: Mapping[str, int], seed: int, step: int) -> dict[str, int]:
    """How many of ``total`` random dormant weights lie in each layer, of so many free ones."""
    draw = rng.stream(seed, "deep-r layers", step)
    counts = draw.multivariate_hypergeometric(list(free.values()), total)
    return {name: int(count) for name, count in zip(free, counts, strict=True)}
