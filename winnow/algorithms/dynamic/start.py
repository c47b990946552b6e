"""The random mask that dynamic sparse training starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from winnow import rng
from winnow.allocation import check_density, keep_for_density
from winnow.errors import UserError, unknown
from winnow.mask import Mask

DISTRIBUTIONS = ("uniform", "er", "erk")


def check_distribution(distribution: str) -> None:
    """UserError unless the distribution over layers exists."""
    if distribution not in DISTRIBUTIONS:
        hint = f"Distributions are {', '.join(DISTRIBUTIONS)}"
        raise unknown("distribution", str(distribution), DISTRIBUTIONS, hint)


def random_mask(
    weights: Mapping[str, Tensor], density: float, distribution: str, seed: int, least: int = 0
) -> Mask:
    """Exactly round(density · N) random weights, shared out over the layers by ``distribution``.

    Layer ``name`` draws from the stream (seed, "first mask", name), so that methods with the same
    distribution start from the same mask. ``least``: what each layer must get. UserError when the
    density keeps nothing, or gives a layer less.
    """
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    counts = first_counts(shapes, density, distribution, least)
    return Mask({name: _random(w, counts[name], seed, name) for name, w in weights.items()})


def first_counts(
    shapes: Mapping[str, tuple[int, ...]], density: float, distribution: str, least: int = 0
) -> dict[str, int]:
    """How many weights of each layer `random_mask` keeps; its errors."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    whole = sum(sizes.values())
    if round(check_density(density) * whole) == 0:
        raise UserError(
            f"density {density:g} keeps none of {whole} weights; reachable are {1 / whole:.3g} to 1"
        )
    counts = keep_for_density(shapes, sizes, density, distribution)
    assert isinstance(counts, dict)
    _check_least(shapes, sizes, counts, density, distribution, least)
    return counts


def _random(weight: Tensor, count: int, seed: int, name: str) -> Tensor:
    places = rng.stream(seed, "first mask", name).choice(weight.numel(), count, replace=False)
    keep = torch.zeros(weight.numel(), dtype=torch.bool)
    keep[torch.from_numpy(places)] = True
    return keep.reshape(weight.shape).to(weight.device)


def _check_least(
    shapes: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, int],
    counts: Mapping[str, int],
    density: float,
    distribution: str,
    least: int,
) -> None:
    short = [name for name, count in counts.items() if count < min(least, sizes[name])]
    if not short:
        return
    whole = sum(sizes.values())
    low, high = round(density * whole), whole  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        counts_there = keep_for_density(shapes, sizes, middle / whole, distribution)
        low, high = (low, middle) if _enough(counts_there, sizes, least) else (middle, high)
    raise UserError(
        f"density {density:g} leaves {short[0]!r} {counts[short[0]]} of its {sizes[short[0]]} "
        f"weights, and this method needs {least} in each layer to go on from; reachable with "
        f"{distribution!r} are {math.ceil(1e6 * high / whole) / 1e6:g} to 1"
    )


def _enough(counts: object, sizes: Mapping[str, int], least: int) -> bool:
    assert isinstance(counts, dict)
    return all(counts[name] >= min(least, size) for name, size in sizes.items())
