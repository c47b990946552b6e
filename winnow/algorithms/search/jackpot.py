"""Lottery jackpots: the top k of trained scores with a warm start, in a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from winnow.algorithms.search.first import uniform
from winnow.algorithms.search.layers import counts_of
from winnow.algorithms.search.method import COSINE, SearchStart, check_search, sgd, top_k
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.pruning import prune_to
from winnow.reparametrisation import Search, Statistics
from winnow.shares import share_of
from winnow.state import Tensors

_WARM: Mapping[str, Mapping[str, Any]] = {
    "magnitude": {},
    "snip": {},
    "grasp": {"temperature": 1.0},
}
"""The criteria that a warm start may go by → their options there."""

_STARTS = (*_WARM, "random")


@dataclass(frozen=True)
class Jackpot:
    """Lottery jackpots. Zhang et al. 2021, "Lottery Jackpots Exist in Pre-trained Models": top-k
    of scores with a warm start, on pre-trained weights.

    ``start``: each layer's best by "magnitude", "snip" or "grasp" (without temperature), or a mask
    given to the search, begin with score 1 and all others with ``removed``: 0.95 in the paper's
    section 4.1, 0.99 in its later code. "random": U(0, 1). ``rates``: layer counts of the global
    magnitude threshold, or "uniform" (see `layers.counts_of`); with a mask given, its own.
    ``density`` may be left out with a mask. The classifier stays dense and does not count, the
    first layer is pruned, as in the authors' code. ``absolute``: rank |score|, as in the first
    version of it; not in the paper. Weight decay of 5e-4 (CIFAR-10; ImageNet 1e-4) acts on scores.
    """

    name: ClassVar[str] = "jackpot"
    protects: ClassVar[tuple[str, ...]] = ("output",)
    optimizer: ClassVar[Mapping[str, Any]] = sgd(0.1, 5e-4)
    schedule: ClassVar[Mapping[str, Any]] = COSINE
    of_trained: ClassVar[bool] = True
    needs_density: ClassVar[bool] = False
    compared: ClassVar[Mapping[str, Any]] = {}

    density: float | None = None
    start: str = "magnitude"
    rates: str = "magnitude"
    removed: float = 0.95
    absolute: bool = False
    statistics: Statistics = "updated"

    def __post_init__(self) -> None:
        check_search(self.density, self.rates, self.statistics)
        if self.start not in _STARTS:
            raise unknown("start", str(self.start), _STARTS, f"Starts are {', '.join(_STARTS)}")
        if not 0 <= self.removed < 1:
            raise UserError(f"removed is {self.removed!r}: give a score from 0 to below 1")

    @property
    def scored_by(self) -> str | None:
        return self.start if self.start in _WARM else None

    def search(self, start: SearchStart) -> Search:
        """Top-k."""
        return top_k(start, self._counts(start), self.absolute, self.statistics)

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:
        """Warm, or random."""
        if start.mask is None and self.scored_by is None:
            return {n: uniform(n, w, start.seed) for n, w in start.weights.items()}
        assert search.keep is not None
        mask = self._warm(start, search.keep) if start.mask is None else start.mask
        return {
            name: torch.where(mask[name].to(weight.device), 1.0, self.removed)
            for name, weight in start.weights.items()
        }

    def _counts(self, start: SearchStart) -> dict[str, int]:
        if start.mask is None:
            if self.density is None:
                raise UserError("jackpot needs density=, e.g. 0.1, or a mask to start from")
            return counts_of(start.weights, self.density, self.rates)
        _check_mask(start.mask, start.weights, self.density)
        return start.mask.kept_per_layer

    def _warm(self, start: SearchStart, keep: Mapping[str, int]) -> Mask:
        return prune_to(start.score(self.start, _WARM[self.start]), keep)


def _check_mask(mask: Mask, weights: Tensors, density: float | None) -> None:
    if others := [name for name in mask if name not in weights]:
        raise UserError(
            f"the mask given covers {others[0]!r}, which stays dense in this search: leave it out "
            "of the mask, or let it compete (wn.search: ignore=[])"
        )
    try:
        mask.check_fits(weights)
    except ValueError as error:
        raise UserError(str(error)) from None
    if missing := [name for name in weights if name not in mask]:
        raise UserError(f"the mask given lacks {missing[0]!r}: add it, or ignore that weight")
    if density is not None and share_of(density, mask.size) != mask.kept:
        raise UserError(
            f"the mask given keeps {mask.kept} of {mask.size}, but density={float(density):g} asks "
            f"for {share_of(density, mask.size)}: leave density out"
        )
