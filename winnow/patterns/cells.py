"""Exact counts in every row, or in every group of M inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.patterns.axes import USUAL_AXES, Axes, as_units, as_weight, inputs_of
from winnow.patterns.grains import Cells, Grain, Rows
from winnow.topk import check_finite, keep_in_rows


def check_grain(grain: Grain, shapes: Mapping[str, Sequence[int]], axes: Axes) -> None:
    """UserError, by name, for a tensor that the grain does not fit."""
    for name, shape in shapes.items():
        grain.check(name, shape, inputs_of(name, shape, axes))


def keep_in_cells(
    grain: Cells,
    scores: Mapping[str, Tensor],
    counts: Mapping[str, int | Tensor],
    mask: Mapping[str, Tensor] | None = None,
    axes: Axes | None = None,
) -> dict[str, Tensor]:
    """Bool tensors like the scores that keep ``counts[name]`` of each cell: one number for all
    cells, or one for each.

    The largest scores of a cell stay; equal ones: the lower index in the cell. Never what ``mask``
    has removed. Raises UserError for NaN or infinite scores of what ``mask`` has left, for a cell
    that has less left than it is to keep, and for shapes that the grain does not fit.
    """
    known = axes or {}
    check_grain(grain, {name: tuple(s.shape) for name, s in scores.items()}, known)
    kept = {}
    for name, tensor in scores.items():
        own = known.get(name, USUAL_AXES)
        left = None if mask is None else grain.cells(as_units(mask[name].to(tensor.device), own))
        check_finite(
            name, tensor, None if mask is None else mask[name].to(tensor.device).reshape(-1)
        )
        cells = grain.cells(as_units(tensor.detach(), own))
        count = torch.as_tensor(counts[name], device=tensor.device).expand(len(cells))
        _check_left(name, grain, tensor, cells, count, left)
        chosen = keep_in_rows(name, cells, count, left)
        kept[name] = as_weight(chosen, tensor.shape, own)
    return kept


def check_reachable(
    grain: Cells, mask: Mapping[str, Tensor], counts: Mapping[str, int | Tensor], axes: Axes
) -> None:
    """UserError, by name, for a cell that is to keep more than a mask has left of it."""
    check_grain(grain, {name: tuple(keep.shape) for name, keep in mask.items()}, axes)
    for name, keep in mask.items():
        cells = grain.cells(as_units(keep, axes.get(name, USUAL_AXES)))
        count = torch.as_tensor(counts[name], device=keep.device).expand(len(cells))
        _check_left(name, grain, keep, cells, count, cells)


def _check_left(
    name: str, grain: Cells, tensor: Tensor, cells: Tensor, count: Tensor, left: Tensor | None
) -> None:
    alive = cells.shape[1] if left is None else left.sum(1)
    short = (count > alive).nonzero()
    if not len(short):
        return
    cell = int(short[0])
    has = cells.shape[1] if left is None else int(left[cell].count_nonzero())
    what = "unit" if isinstance(grain, Rows) else f"group of {cells.shape[1]}"
    raise UserError(
        f"cannot keep {int(count[cell])} weights of {what} {cell} of {name!r} "
        f"{list(tensor.shape)}: it has {has} left, and a removed weight never returns"
    )


def counts_in_cells(
    grain: Cells, mask: Mapping[str, Tensor], axes: Axes | None = None
) -> dict[str, Tensor]:
    """How many weights each cell of a mask keeps, (cells,) for each tensor."""
    known = axes or {}
    return {
        name: grain.cells(as_units(keep, known.get(name, USUAL_AXES))).sum(1)
        for name, keep in mask.items()
    }
