"""Blocks of units × inputs that stay or go together: the network seen with one score for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from winnow.errors import UserError
from winnow.patterns.axes import USUAL_AXES, Axes, as_units, as_weight
from winnow.patterns.cells import check_grain
from winnow.patterns.grains import Blocks
from winnow.topk import check_finite


def block_sums(
    grain: Blocks,
    scores: Mapping[str, Tensor],
    mask: Mapping[str, Tensor] | None = None,
    axes: Axes | None = None,
) -> dict[str, Tensor]:
    """(blocks down, blocks across): the sum of the scores in each block, in float64; of blocks that
    ``mask`` has removed 0. UserError for NaN or infinite scores of what it has left, and for shapes
    that blocks do not fill.
    """
    known = axes or {}
    check_grain(grain, {name: tuple(s.shape) for name, s in scores.items()}, known)
    sums = {}
    for name, tensor in scores.items():
        alive, keep = tensor.detach(), None if mask is None else mask[name].to(tensor.device)
        check_finite(name, alive, None if keep is None else keep.reshape(-1))
        if keep is not None:
            alive = alive.masked_fill(~keep, 0)
        sums[name] = grain.split(as_units(alive, known.get(name, USUAL_AXES))).double().sum(2)
    return sums


def block_mask(
    grain: Blocks, mask: Mapping[str, Tensor], axes: Axes | None = None
) -> dict[str, Tensor]:
    """(blocks down, blocks across): which blocks a mask keeps. UserError where it splits one."""
    known = axes or {}
    check_grain(grain, {name: tuple(keep.shape) for name, keep in mask.items()}, known)
    blocks = {}
    for name, keep in mask.items():
        parts = grain.split(as_units(keep, known.get(name, USUAL_AXES)))
        blocks[name] = parts.all(2)
        if split := int((parts.any(2) & ~blocks[name]).count_nonzero()):
            raise UserError(
                f"the mask of {name!r} keeps {split} blocks of {grain.rows} × {grain.columns} in "
                "part: only whole blocks can go on being pruned as such"
            )
    return blocks


def from_blocks(
    grain: Blocks,
    blocks: Mapping[str, Tensor],
    shapes: Mapping[str, Sequence[int]],
    axes: Axes | None = None,
) -> dict[str, Tensor]:
    """Bool tensors of these shapes from which blocks are kept."""
    known = axes or {}
    return {
        name: as_weight(grain.spread(own), shapes[name], known.get(name, USUAL_AXES))
        for name, own in blocks.items()
    }
