"""The methods of mask search: where scores start, how they decide, how they are trained.

A method is a frozen value of options with the originals' defaults. Shown a `Start`, it answers with
the reparametrisation that engines train, and with the first scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from winnow.algorithms.search.first import filled, kaiming, uniform
from winnow.algorithms.search.layers import check_rates, counts_of, kept_in_all
from winnow.allocation import check_density
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.pruning import prune_to
from winnow.reparametrisation import Search, Statistics

Tensors = Mapping[str, Tensor]

COSINE: Mapping[str, Any] = {"name": "cosine", "drops": [], "factor": None, "warmup": 0}
CONSTANT: Mapping[str, Any] = {"name": "constant", "drops": [], "factor": None, "warmup": 0}
STARTS = ("magnitude", "snip", "grasp", "random")

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
    """A method of mask search.

    ``protects``: names, patterns and group words of the layers that the original leaves dense.
    ``optimizer`` and ``schedule``: the original's, for the scores, as a job takes them.
    ``pretrained``: it searches in a trained network, not in a random one. ``first_probability``:
    its option for the probability with which weights are kept at first, None if there is none.
    """

    name: ClassVar[str]
    protects: ClassVar[tuple[str, ...]]
    optimizer: ClassVar[Mapping[str, Any]]
    schedule: ClassVar[Mapping[str, Any]]
    pretrained: ClassVar[bool]
    first_probability: ClassVar[str | None]

    @property
    def warm_start(self) -> str | None:
        """The criterion whose scores the search starts from; None if it sees none."""
        ...

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        """How many weights of layers of these shapes it keeps. UserError for none."""
        ...

    def search(self, start: SearchStart) -> Search:
        """The reparametrisation, of the options, the weights and the mask alone: a search that is
        resumed gets it again. UserError for what cannot be.
        """
        ...

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:
        """The first scores."""
        ...


def _sgd(lr: float, weight_decay: float) -> Mapping[str, Any]:
    return {"name": "momentum", "lr": lr, "momentum": 0.9, "weight_decay": weight_decay}


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
    optimizer: ClassVar[Mapping[str, Any]] = _sgd(0.1, 1e-4)
    schedule: ClassVar[Mapping[str, Any]] = COSINE
    pretrained: ClassVar[bool] = False
    first_probability: ClassVar[str | None] = None

    density: float
    rates: str = "layer"
    absolute: bool = True
    statistics: Statistics = "updated"

    def __post_init__(self) -> None:
        check_density(self.density)
        check_rates(self.rates)
        check_statistics(self.statistics)

    @property
    def warm_start(self) -> str | None:
        """None: scores are random."""
        return None

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        """By its rates."""
        return kept_in_all(shapes, self.density, self.rates)

    def search(self, start: SearchStart) -> Search:
        """Top-k."""
        _no_mask(self.name, start)
        keep = counts_of(start.weights, self.density, self.rates)
        return _top_k(start, keep, self.absolute, self.statistics)

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:  # noqa: ARG002
        """Random."""
        return {n: kaiming(n, w, start.seed) for n, w in start.weights.items()}


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
    optimizer: ClassVar[Mapping[str, Any]] = _sgd(100.0, 0.0)
    schedule: ClassVar[Mapping[str, Any]] = CONSTANT
    pretrained: ClassVar[bool] = False
    first_probability: ClassVar[str | None] = "probability"

    density: float | None = None
    rates: str = "layer"
    probability: float = 0.5
    rescale: bool = False
    statistics: Statistics = "updated"

    def __post_init__(self) -> None:
        if self.density is not None:
            check_density(self.density)
        check_rates(self.rates)
        check_statistics(self.statistics)
        if not 0 < self.probability < 1:
            raise UserError(f"probability is {self.probability!r}: give a number between 0 and 1")

    @property
    def warm_start(self) -> str | None:
        """None: scores are equal."""
        return None

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        """By its rates."""
        if self.density is None:
            raise UserError("supermask keeps what it finds: give it a density")
        return kept_in_all(shapes, self.density, self.rates)

    def search(self, start: SearchStart) -> Search:
        """Bernoulli masks."""
        _no_mask(self.name, start)
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
    optimizer: ClassVar[Mapping[str, Any]] = _sgd(0.1, 5e-4)
    schedule: ClassVar[Mapping[str, Any]] = COSINE
    pretrained: ClassVar[bool] = True
    first_probability: ClassVar[str | None] = None

    density: float | None = None
    start: str = "magnitude"
    rates: str = "magnitude"
    removed: float = 0.95
    absolute: bool = False
    statistics: Statistics = "updated"

    def __post_init__(self) -> None:
        if self.density is not None:
            check_density(self.density)
        if self.start not in STARTS:
            raise unknown("start", str(self.start), STARTS, f"Starts are {', '.join(STARTS)}")
        if not 0 <= self.removed < 1:
            raise UserError(f"removed is {self.removed!r}: give a score from 0 to below 1")
        check_rates(self.rates)
        check_statistics(self.statistics)

    @property
    def warm_start(self) -> str | None:
        """``start``, where that is a criterion that sees something."""
        return None if self.start == "random" else self.start

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        """By its rates; where they lie in detail, weights may say."""
        if self.density is None:
            raise UserError("jackpot keeps what its mask does: give it a density")
        return kept_in_all(shapes, self.density, self.rates)

    def search(self, start: SearchStart) -> Search:
        """Top-k."""
        return _top_k(start, self._counts(start), self.absolute, self.statistics)

    def scores(self, start: SearchStart, search: Search) -> dict[str, Tensor]:
        """Warm, or random."""
        if start.mask is None and self.warm_start is None:
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
        options = {"temperature": 1.0} if self.start == "grasp" else {}
        assert self.warm_start is not None
        return prune_to(start.score(self.warm_start, options), keep)


def check_statistics(statistics: str) -> None:
    """UserError unless there is such a treatment of batch normalisation's statistics."""
    if statistics not in ("updated", "fixed"):
        raise UserError(f"statistics is {statistics!r}: choose 'updated' or 'fixed'")


def _top_k(
    start: SearchStart, keep: Mapping[str, int], absolute: bool, statistics: Statistics
) -> Search:
    names = tuple(start.weights)
    return Search("top-k", names, dict(keep), absolute, statistics=statistics, seed=start.seed)


def _no_mask(method: str, start: SearchStart) -> None:
    if start.mask is not None:
        raise UserError(f"{method} starts from random scores, not from a mask: jackpot does")


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
    if density is not None and round(density * mask.size) != mask.kept:
        raise UserError(
            f"the mask given keeps {mask.kept} of {mask.size}, but density={density:g} asks for "
            f"{round(density * mask.size)}: leave density out"
        )
