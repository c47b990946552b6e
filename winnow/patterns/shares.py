"""What one weight keeps, as a choice that can be made column by column.

A `WeightShare` belongs to a matrix (units, inputs). `part` is the choice among some of its columns,
so that who updates the weights from left to right chooses with what they have become.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.patterns.blocks import block_mask, block_sums, from_blocks
from winnow.patterns.cells import keep_in_cells
from winnow.patterns.grains import Blocks, Grain, NofM, Rows
from winnow.topk import keep_largest


class Kept(Protocol):
    """Which weights of a matrix stay."""

    def keep(self, scores: Tensor) -> Tensor:
        """The bool matrix of what stays, the largest scores: exact, ties to the lower index."""
        ...

    def part(self, first: int, last: int) -> Kept:
        """The choice among the columns from ``first`` on, before ``last``."""
        ...

    def together(self, columns: int) -> int:
        """How many columns, at most ``columns`` if it can be, are chosen at a time."""
        ...


@dataclass(frozen=True)
class WeightShare:
    """``count`` of the weights that ``before`` (units, inputs) has left stay: of all of them (no
    grain), of each unit (rows: a number or one for each), or of the blocks; N:M needs no count.
    """

    grain: Grain | None
    count: int | Tensor
    before: Tensor

    @property
    def kept(self) -> int:
        """How many weights stay."""
        if isinstance(self.grain, NofM):
            return self.before.numel() // self.grain.m * self.grain.n
        if isinstance(self.grain, Rows):
            return int(torch.as_tensor(self.count).expand(len(self.before)).sum())
        return int(self.count) * (self.grain.size if self.grain else 1)

    def keep(self, scores: Tensor) -> Tensor:
        """Its largest scores. UserError as ``wn.prune`` raises."""
        matrix, before = {"": scores}, {"": self.before}
        if isinstance(self.grain, Blocks):
            sums = block_sums(self.grain, matrix, before)
            blocks = keep_largest(sums, int(self.count), block_mask(self.grain, before))
            return from_blocks(self.grain, blocks, {"": scores.shape})[""]
        if self.grain is None:
            return keep_largest(matrix, int(self.count), before)[""]
        count = self.grain.n if isinstance(self.grain, NofM) else self.count
        return keep_in_cells(self.grain, matrix, {"": count}, before)[""]

    def part(self, first: int, last: int) -> WeightShare:
        """Of the columns so far, the same share of what is left stays, rounded (halves up), so that
        all parts together keep the whole count.
        """
        columns = self.before[:, first:last]
        if isinstance(self.grain, NofM):
            return replace(self, before=columns)
        if isinstance(self.grain, Blocks):
            alive = block_mask(self.grain, {"": self.before})[""]
            first, last = first // self.grain.columns, last // self.grain.columns
        else:
            alive = self.before
        count = self._so_far(alive, last) - self._so_far(alive, first)
        return WeightShare(
            self.grain, count if isinstance(self.grain, Rows) else int(count), columns
        )

    def _so_far(self, alive: Tensor, end: int) -> Tensor:
        """How many of the first columns are to stay, in whole numbers throughout."""
        axes = (1,) if isinstance(self.grain, Rows) else (0, 1)
        left, whole = alive[:, :end].sum(axes), alive.sum(axes).clamp(min=1)
        count = torch.as_tensor(self.count, device=alive.device)
        return (2 * count * left + whole) // (2 * whole)

    def together(self, columns: int) -> int:
        """M of a pattern; whole blocks."""
        if isinstance(self.grain, NofM):
            return self.grain.m
        if isinstance(self.grain, Blocks):
            return max(columns // self.grain.columns, 1) * self.grain.columns
        return columns


@dataclass(frozen=True)
class Given:
    """The choice is made: a bool matrix."""

    mask: Tensor

    def keep(self, scores: Tensor) -> Tensor:
        """The mask, whatever the scores."""
        if scores.shape != self.mask.shape:
            raise UserError(f"scores {list(scores.shape)} for a mask {list(self.mask.shape)}")
        return self.mask

    def part(self, first: int, last: int) -> Given:
        """Its columns."""
        return Given(self.mask[:, first:last])

    def together(self, columns: int) -> int:
        """Any number."""
        return columns
