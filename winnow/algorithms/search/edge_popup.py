"""edge-popup: the top k of trained scores, in a random network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from winnow.algorithms.search.first import kaiming
from winnow.algorithms.search.layers import counts_of
from winnow.algorithms.search.method import (
    COSINE,
    SearchStart,
    check_search,
    refuse_mask,
    sgd,
    top_k,
)
from winnow.reparametrisation import Search, Statistics


@dataclass(frozen=True)
class EdgePopup:
    """edge-popup. Ramanujan et al. 2020, "What's Hidden in a Randomly Weighted Neural Network?",
    section 3.2; made for random networks (see ``signed-kaiming`` in ``models.initialise``).

    Scores start from U(−b, b) with b = 1 / √fan_in (Kaiming uniform, a = √5, as in the authors'
    code). Each layer keeps the ``density`` of its weights with the largest |score| (``absolute``;
    False: largest scores). ``rates``: see `layers.counts_of`; "layer" is the paper's. No layer is
    exempt. The authors' batch normalisation has no affine part: here it is frozen as it stands.
    """

    name: ClassVar[str] = "edge-popup"
    protects: ClassVar[tuple[str, ...]] = ()
    optimizer: ClassVar[Mapping[str, Any]] = sgd(0.1, 1e-4)
    schedule: ClassVar[Mapping[str, Any]] = COSINE
    of_trained: ClassVar[bool] = False
    needs_density: ClassVar[bool] = True
    compared: ClassVar[Mapping[str, Any]] = {"rates": "uniform"}
    scored_by: ClassVar[None] = None

    density: float
    rates: str = "layer"
    absolute: bool = True
    statistics: Statistics = "updated"

    def __post_init__(self) -> None:
        check_search(self.density, self.rates, self.statistics)

    def search(self, start: SearchStart) -> Search:
        """Top-k."""
        refuse_mask(self.name, start)
        keep = counts_of(start.weights, self.density, self.rates)
        return top_k(start, keep, self.absolute, self.statistics)

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:  # noqa: ARG002
        """Random."""
        return {n: kaiming(n, w, start.seed) for n, w in start.weights.items()}
