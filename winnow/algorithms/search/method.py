"""What a method of mask search is: where scores start, how they decide, how they are trained.

A method is a frozen value of options with the original's defaults. Shown a `SearchStart`, it
answers with the reparametrisation that engines train, and with the first scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, get_args

from torch import Tensor

from winnow.algorithms.search.layers import check_rates
from winnow.allocation import check_density
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.reparametrisation import Search, Statistics
from winnow.state import Tensors

COSINE: Mapping[str, Any] = {"name": "cosine", "drops": [], "factor": None, "warmup": 0}
CONSTANT: Mapping[str, Any] = {"name": "constant", "drops": [], "factor": None, "warmup": 0}

SCORING_BATCH = 256
"""Examples that SNIP and GraSP score for a warm start. Zhang et al. 2021, appendix A.2."""


@dataclass(frozen=True)
class SearchStart:
    """What a method sees when its search begins: the frozen weights that compete, a seed, a mask
    to start from if one is given, and ``score(criterion, options)``, which scores the network.
    """

    weights: Tensors
    seed: int
    score: Callable[[str, Mapping[str, Any]], Tensors]
    mask: Mask | None = None


class SearchMethod(Protocol):
    """A method of mask search. Nothing outside its file asks for its name.

    ``protects``: names, patterns and group words of the layers that the original leaves dense.
    ``optimizer`` and ``schedule``: the original's, for the scores, as a job takes them.
    ``of_trained``: it searches in a trained network, not in a random one. ``needs_density``: it
    finds none by itself. ``compared``: the options that are others in a comparison, where all
    methods keep as many weights; "density" there is the density that is asked for.
    """

    name: ClassVar[str]
    protects: ClassVar[tuple[str, ...]]
    optimizer: ClassVar[Mapping[str, Any]]
    schedule: ClassVar[Mapping[str, Any]]
    of_trained: ClassVar[bool]
    needs_density: ClassVar[bool]
    compared: ClassVar[Mapping[str, Any]]

    @property
    def scored_by(self) -> str | None:
        """The criterion whose scores of the network its own begin with; None if there is none."""
        ...

    def search(self, start: SearchStart) -> Search:
        """The reparametrisation, of the options, the weights and the mask alone: a search that is
        resumed gets it again. UserError for what cannot be.
        """
        ...

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:
        """The first scores."""
        ...


def sgd(lr: float, weight_decay: float) -> Mapping[str, Any]:
    """SGD with momentum 0.9, as a job takes it."""
    return {"name": "momentum", "lr": lr, "momentum": 0.9, "weight_decay": weight_decay}


def check_search(density: float | None, rates: str, statistics: str) -> None:
    """UserError unless the options that all methods have are what they can be."""
    if density is not None:
        check_density(density)
    check_rates(rates)
    if statistics not in get_args(Statistics):
        raise UserError(f"statistics is {statistics!r}: choose 'updated' or 'fixed'")


def top_k(
    start: SearchStart, keep: Mapping[str, int], absolute: bool, statistics: Statistics
) -> Search:
    """The search in which each layer keeps its ``keep`` largest scores (or |scores|)."""
    names = tuple(start.weights)
    return Search("top-k", names, dict(keep), absolute, statistics=statistics, seed=start.seed)


def refuse_mask(method: str, start: SearchStart) -> None:
    """UserError for a mask given to a method that starts from random scores."""
    if start.mask is not None:
        raise UserError(f"{method} starts from random scores, not from a mask: jackpot does")
