"""The random mask that dynamic sparse training starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from winnow import rng
from winnow.algorithms.dynamic.grained import random_in_cells
from winnow.allocation import check_density, keep_for_density
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.patterns.blocks import from_blocks
from winnow.patterns.cells import check_grain
from winnow.patterns.grains import Blocks, Cells, Grain, NofM, Rows

DISTRIBUTIONS = ("uniform", "er", "erk", "row")


def check_distribution(distribution: str) -> None:
    """UserError unless the distribution over layers exists."""
    if distribution not in DISTRIBUTIONS:
        hint = f"Distributions are {', '.join(DISTRIBUTIONS)}"
        raise unknown("distribution", str(distribution), DISTRIBUTIONS, hint)


def random_mask(
    weights: Mapping[str, Tensor],
    density: float,
    distribution: str,
    seed: int,
    least: int = 0,
    grain: Grain | None = None,
) -> Mask:
    """Exactly round(density · N) random weights, shared out over the layers by ``distribution``; in
    rows, patterns and blocks as many as these give.

    Layer ``name`` draws from the stream (seed, "first mask", name), so that methods with the same
    distribution start from the same mask. ``least``: what each layer must get. UserError when the
    density keeps nothing, or gives a layer less.
    """
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    counts = first_counts(shapes, density, distribution, least, grain)
    if isinstance(grain, Rows | NofM):
        cells = {name: counts[name] // cells_of(grain, shape) for name, shape in shapes.items()}
        made = random_in_cells(shapes, cells, grain, seed)
    elif isinstance(grain, Blocks):
        made = _random_blocks(shapes, counts, grain, seed)
    else:
        made = {name: _random(w, counts[name], seed, name) for name, w in weights.items()}
    return Mask({name: keep.to(weights[name].device) for name, keep in made.items()})


def first_counts(
    shapes: Mapping[str, tuple[int, ...]],
    density: float,
    distribution: str,
    least: int = 0,
    grain: Grain | None = None,
) -> dict[str, int]:
    """How many weights of each layer `random_mask` keeps; its errors."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if isinstance(grain, NofM):
        check_density_of(grain, density)
        check_grain(grain, shapes, {})
        return {name: size // grain.m * grain.n for name, size in sizes.items()}
    if isinstance(grain, Blocks):
        check_grain(grain, shapes, {})
        blocks = {name: size // grain.size for name, size in sizes.items()}
        keep = keep_for_density(shapes, blocks, density, distribution, grain.size)
        assert isinstance(keep, dict)
        _check_some(sum(keep.values()), density, sum(blocks.values()), "blocks")
        return {name: count * grain.size for name, count in keep.items()}
    whole = sum(sizes.values())
    density = check_density(density)
    _check_some(round(density * whole), density, whole, "weights")
    counts = keep_for_density(shapes, sizes, density, distribution)
    assert isinstance(counts, dict)
    if distribution == "row":
        _check_some(sum(counts.values()), density, whole, "weights")
    _check_least(shapes, sizes, counts, density, distribution, least)
    return counts


def _check_some(kept: int, density: float, whole: int, what: str) -> None:
    if kept == 0:
        raise UserError(
            f"density {density:g} keeps none of {whole} {what}; reachable are {1 / whole:.3g} to 1"
        )


def check_density_of(pattern: NofM, density: float) -> None:
    """UserError unless the density is that of the pattern."""
    if not math.isclose(check_density(density), pattern.density):
        raise UserError(
            f"density is {density:g}, and pattern {pattern} keeps {pattern.density:.6g}: give "
            "that, or no pattern"
        )


def cells_of(cells: Cells, shape: tuple[int, ...]) -> int:
    """How many cells a weight has."""
    return math.prod(shape) // cells.m if isinstance(cells, NofM) else shape[0]


def _random_blocks(
    shapes: Mapping[str, tuple[int, ...]], counts: Mapping[str, int], grain: Blocks, seed: int
) -> dict[str, Tensor]:
    chosen = {}
    for name, shape in shapes.items():
        blocks = torch.empty(shape[0] // grain.rows, math.prod(shape[1:]) // grain.columns)
        chosen[name] = _random(blocks, counts[name] // grain.size, seed, name)
    return from_blocks(grain, chosen, shapes)


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
