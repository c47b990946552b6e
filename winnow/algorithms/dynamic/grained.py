"""Updates that keep a pattern: rows, N:M or blocks hold after each of them as before.

What a unit or a group of M inputs loses it gets back, exactly. Constant fan-in of units: Lasby et
al. 2024, "Dynamic Sparse Training with Structured Sparsity"; N:M in the same way. In blocks a
method sees each block as one weight, of the size of the sum of its sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from winnow import rng
from winnow.algorithms.dynamic.method import Change, Moment
from winnow.errors import UserError
from winnow.patterns.blocks import block_mask, block_sums, from_blocks
from winnow.patterns.cells import counts_in_cells, keep_in_cells
from winnow.patterns.grains import Blocks, Cells, Grain
from winnow.state import Tensors


def regrow_largest(
    scores: Tensors, left: Tensors, before: Tensors, cells: Cells
) -> dict[str, Tensor]:
    """``left`` with the largest scores of what is not kept, in each cell as many as it has lost
    since ``before``.
    """
    lost = counts_in_cells(cells, before)
    for name, counts in counts_in_cells(cells, left).items():
        lost[name] = lost[name] - counts
    free = {name: ~keep for name, keep in left.items()}
    grown = keep_in_cells(cells, scores, lost, free)
    return {name: keep | grown[name] for name, keep in left.items()}


def regrow_random(
    left: Tensors, before: Tensors, cells: Cells, seed: int, *path: str | int
) -> dict[str, Tensor]:
    """``left`` with random weights more, in each cell as many as it has lost since ``before``.

    Tensor ``name`` draws from the stream (seed, *path, name).
    """
    return regrow_largest(_drawn(left, seed, *path), left, before, cells)


def random_in_cells(
    shapes: Mapping[str, Sequence[int]], count: Mapping[str, int], cells: Cells, seed: int
) -> dict[str, Tensor]:
    """Random weights, ``count`` in each cell of a tensor, from the stream (seed, "first mask",
    name).
    """
    dense = {name: torch.ones(tuple(shape), dtype=torch.bool) for name, shape in shapes.items()}
    return keep_in_cells(cells, _drawn(dense, seed, "first mask"), count)


def in_blocks(at: Moment, grain: Grain | None) -> Moment:
    """The moment with a weight for each block; itself where nothing goes in blocks."""
    if not isinstance(grain, Blocks):
        return at
    blocks = block_mask(grain, at.mask)

    def sizes() -> dict[str, Tensor]:
        kept = at.kept()
        sums = block_sums(grain, {n: spread_out(kept[n].abs(), m) for n, m in at.mask.items()})
        return {name: own[blocks[name].to(own.device)] for name, own in sums.items()}

    def gradient() -> dict[str, Tensor]:
        dense = at.gradient()
        return block_sums(grain, {name: dense[name].abs() for name in at.mask})

    return replace(at, mask=blocks, kept=sizes, gradient=gradient)


def out_of_blocks(mask: Tensors, at: Moment, grain: Grain | None) -> Change:
    """The change to a mask of blocks; to the mask itself where nothing goes in blocks."""
    if not isinstance(grain, Blocks):
        return Change(mask)
    shapes = {name: tuple(keep.shape) for name, keep in at.mask.items()}
    return Change(from_blocks(grain, mask, shapes))


def spread_out(values: Tensor, keep: Tensor) -> Tensor:
    """The values (1-d, row-major) of what a mask keeps in its shape, 0 elsewhere."""
    dense = torch.zeros(keep.shape, dtype=values.dtype, device=values.device)
    return dense.masked_scatter(keep.to(values.device), values)


def check_same_cells(grain: Grain | None, given: Tensors, first: Tensors) -> None:
    """UserError unless a given mask keeps as many weights in each cell as the first mask."""
    if grain is None:
        return
    if isinstance(grain, Blocks):
        block_mask(grain, given)
        return
    has, wanted = counts_in_cells(grain, given), counts_in_cells(grain, first)
    for name, counts in wanted.items():
        if not torch.equal(has[name].cpu(), counts.cpu()):
            raise UserError(
                f"the mask given does not keep what {grain} asks for in {name!r}: make it by "
                "wn.prune with the same scope= or pattern="
            )


def _drawn(like: Tensors, seed: int, *path: str | int) -> dict[str, Tensor]:
    """Random numbers; equal ones are next to impossible."""
    return {
        name: torch.from_numpy(rng.stream(seed, *path, name).random(keep.numel()))
        .reshape(keep.shape)
        .to(keep.device)
        for name, keep in like.items()
    }
