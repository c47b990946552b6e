"""The walk of SparseGPT over the inputs of one layer: columns go, those to the right make up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.patterns.shares import Kept

BLOCKSIZE = 128


@dataclass(frozen=True)
class Factor:
    """U (groups, n, n), upper triangular, with UᵀU = (Σ x xᵀ + damping)⁻¹; and which inputs of the
    calibration were always 0, (groups, n).
    """

    upper: Tensor
    dead: Tensor


def eliminate(
    weights: Tensor, factor: Factor, choice: Kept, blocksize: int = BLOCKSIZE
) -> tuple[Tensor, Tensor]:
    """What stays, bool (units, n), and the updated weights, 0 where nothing stays.

    ``weights`` (groups, units of a group, n). Algorithm 1 with lazy updates: errors reach the
    columns of their own block at once, those to the right when the block is done.
    """
    w, upper = weights.clone(), factor.upper
    columns = w.shape[2]
    kept = torch.zeros(w.shape, dtype=torch.bool, device=w.device)
    step = choice.together(blocksize)
    width = max(blocksize // step, 1) * step
    for first in range(0, columns, width):
        last = min(first + width, columns)
        errors = torch.zeros_like(w[:, :, first:last])
        for j in range(first, last):
            if (j - first) % step == 0:
                end = min(j + step, last)
                part = slice(j, end)
                diagonal = upper[:, part, part].diagonal(dim1=1, dim2=2)
                scores = removal_costs(w[:, :, part], diagonal, factor.dead[:, part])
                chosen = choice.part(j, end).keep(scores.flatten(0, 1))
                kept[:, :, part] = chosen.reshape(scores.shape)
            removed = w[:, :, j].masked_fill(kept[:, :, j], 0)
            error = removed / upper[:, j, j, None]
            w[:, :, j:last] -= error[:, :, None] * upper[:, None, j, j:last]
            w[:, :, j].masked_fill_(~kept[:, :, j], 0)
            errors[:, :, j - first] = error
        w[:, :, last:] -= errors @ upper[:, first:last, last:]
    return kept.flatten(0, 1), w.flatten(0, 1)


def factorised(total: Tensor, damping: float) -> Factor:
    """The factor of Σ x xᵀ (groups, n, n). UserError where it is not finite, or too nearly singular
    for its precision.
    """
    diagonal = total.diagonal(dim1=1, dim2=2)
    if not bool(torch.isfinite(diagonal).all()):
        raise UserError("criterion 'sparsegpt': inputs of a layer are NaN or infinite; check data")
    dead = diagonal == 0
    mean = diagonal.sum(1) / (~dead).sum(1).clamp(min=1)
    mean = torch.where(mean > 0, mean, 1)
    damped = total + torch.diag_embed((damping + dead) * mean[:, None])
    inverse = torch.linalg.cholesky_ex(damped)
    if not bool(inverse.info.any()):
        upper = torch.linalg.cholesky_ex(torch.cholesky_inverse(inverse.L), upper=True)
        if not bool(upper.info.any()):
            return Factor(upper.L, dead)
    raise UserError(
        f"criterion 'sparsegpt': the inputs of a layer are too alike for damping {damping:g} in "
        "the precision of this model: give a larger one, e.g. 0.1, or a model in float64"
    )


def removal_costs(weights: Tensor, diagonal: Tensor, dead: Tensor) -> Tensor:
    """(w/Uⱼⱼ)² of weights (groups, units, inputs); 0 where no input ever comes in."""
    return (weights / diagonal[:, None]).square().masked_fill(dead[:, None], 0)
