"""Supermasks: every weight is kept with a trained probability, in a random network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from winnow.algorithms.search.first import filled
from winnow.algorithms.search.layers import counts_of
from winnow.algorithms.search.method import (
    CONSTANT,
    SearchStart,
    check_search,
    refuse_mask,
    sgd,
)
from winnow.errors import UserError
from winnow.reparametrisation import Search, Statistics


@dataclass(frozen=True)
class Supermask:
    """Supermasks. Zhou et al. 2019, "Deconstructing Lottery Tickets: Zeros, Signs, and the
    Supermask", section 5: every weight is kept with probability σ(score), drawn in each step.

    Scores start where σ is ``probability``, one half in the authors' code, whose learning rate for
    the fully connected network is 100, constant. ``rescale``: their dynamic weight rescaling.
    ``density`` None: the search finds it, and the mask is one draw (the authors average the
    accuracy of ten: take ten seeds); a density takes the layers' largest scores at the end instead,
    in exact number, shared out by ``rates``.
    """

    name: ClassVar[str] = "supermask"
    protects: ClassVar[tuple[str, ...]] = ()
    optimizer: ClassVar[Mapping[str, Any]] = sgd(100.0, 0.0)
    schedule: ClassVar[Mapping[str, Any]] = CONSTANT
    of_trained: ClassVar[bool] = False
    needs_density: ClassVar[bool] = False
    compared: ClassVar[Mapping[str, Any]] = {"rates": "uniform", "probability": "density"}
    scored_by: ClassVar[None] = None

    density: float | None = None
    rates: str = "layer"
    probability: float = 0.5
    rescale: bool = False
    statistics: Statistics = "updated"

    def __post_init__(self) -> None:
        check_search(self.density, self.rates, self.statistics)
        if not 0 < self.probability < 1:
            raise UserError(f"probability is {self.probability!r}: give a number between 0 and 1")

    def search(self, start: SearchStart) -> Search:
        """Bernoulli masks."""
        refuse_mask(self.name, start)
        weights, density = start.weights, self.density
        return Search(
            "bernoulli",
            tuple(weights),
            None if density is None else counts_of(weights, density, self.rates),
            rescale=self.rescale,
            statistics=self.statistics,
            seed=start.seed,
        )

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:  # noqa: ARG002
        """Equal probabilities."""
        first = math.log(self.probability / (1 - self.probability))
        return {name: filled(weight, first) for name, weight in start.weights.items()}
