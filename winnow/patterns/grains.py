"""Rows, patterns N:M and blocks as values, and what the arguments of ``wn.prune`` say of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from winnow.errors import UserError

_HOW = "leave it out with ignore= or params="


@dataclass(frozen=True)
class Rows:
    """The inputs of a unit compete with each other alone: each unit keeps its share."""

    def check(self, name: str, shape: Sequence[int], inputs: int) -> None:
        """Any shape will do."""

    def cells(self, matrix: Tensor) -> Tensor:
        """(cells, weights in each) of a matrix (units, inputs)."""
        return matrix

    def __str__(self) -> str:
        return "row"


@dataclass(frozen=True)
class NofM:
    """Of each ``m`` inputs of a unit that follow each other, from the first on, ``n`` stay."""

    n: int
    m: int

    def check(self, name: str, shape: Sequence[int], inputs: int) -> None:
        """UserError unless the inputs of a unit are whole groups."""
        if inputs % self.m:
            raise UserError(
                f"{name!r} {list(shape)} has {inputs} inputs in each unit, no multiple of "
                f"{self.m}: it cannot hold the pattern {self}; {_HOW}"
            )

    def cells(self, matrix: Tensor) -> Tensor:
        """(cells, weights in each) of a matrix (units, inputs)."""
        return matrix.reshape(-1, self.m)

    @property
    def density(self) -> float:
        """The share that stays."""
        return self.n / self.m

    def rounds(self, number: int) -> list[NofM]:
        """The patterns of exponential rounds k = 1 … n: round(m·(n/m)^(k/n)) of each m stay."""
        shares = [self.density ** (k / number) for k in range(1, number)]
        return [*(NofM(max(round(self.m * s), self.n), self.m) for s in shares), self]

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``rows`` units × ``columns`` inputs, from the first on, stay or go together."""

    rows: int
    columns: int

    def check(self, name: str, shape: Sequence[int], inputs: int) -> None:
        """UserError unless the matrix is whole blocks."""
        units = math.prod(shape) // inputs if inputs else 0
        if inputs % self.columns or units % self.rows:
            raise UserError(
                f"{name!r} {list(shape)} has {units} units of {inputs} inputs, which blocks of "
                f"{self.rows} × {self.columns} do not fill; {_HOW}"
            )

    @property
    def size(self) -> int:
        """Weights in a block."""
        return self.rows * self.columns

    def split(self, matrix: Tensor) -> Tensor:
        """(blocks down, blocks across, weights of a block) of a matrix (units, inputs)."""
        units, inputs = matrix.shape
        down, across = units // self.rows, inputs // self.columns
        parts = matrix.reshape(down, self.rows, across, self.columns).transpose(1, 2)
        return parts.reshape(down, across, self.size)

    def spread(self, blocks: Tensor) -> Tensor:
        """A matrix (units, inputs) of what (blocks down, blocks across) say for all in a block."""
        return blocks.repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)

    def __str__(self) -> str:
        return f"block ({self.rows}, {self.columns})"


Cells = Rows | NofM
Grain = Rows | NofM | Blocks
"""Within what weights compete, where that is less than a layer, or what goes together."""


def grain_of(
    scope: str, pattern: str | NofM | None = None, block: Sequence[int] | None = None
) -> Grain | None:
    """What the arguments of ``wn.prune`` say together; None where single weights compete in layers.

    UserError for a pattern or a block that is none, and for what does not go together.
    """
    if pattern is not None and block is not None:
        raise UserError(f"got pattern={pattern!r} and block={block!r}: give one of them")
    if pattern is not None:
        if scope in ("er", "erk"):
            raise UserError(
                f"pattern {pattern} gives every layer the same density, and scope {scope!r} "
                "another: leave one of them out"
            )
        return pattern if isinstance(pattern, NofM) else parse_pattern(pattern)
    if block is not None:
        if scope == "row":
            raise UserError("block= and scope='row' do not go together: blocks are several rows")
        return _block(block)
    return Rows() if scope == "row" else None


def parse_pattern(pattern: str) -> NofM:
    """N and M of "N:M". UserError unless 0 < N ≤ M."""
    found = re.fullmatch(r"(\d+):(\d+)", pattern) if isinstance(pattern, str) else None
    if found is None or not 0 < int(found[1]) <= int(found[2]):
        raise UserError(
            f"pattern is {pattern!r}: write how many of how many neighbours stay, e.g. '2:4'"
        )
    return NofM(int(found[1]), int(found[2]))


def _block(block: Sequence[int]) -> Blocks:
    numbers: list[object] = list(block) if isinstance(block, tuple | list) else []
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in numbers)
    if len(numbers) != 2 or not whole:
        raise UserError(f"block is {block!r}: give (outputs, inputs) of a block, e.g. (4, 1)")
    return Blocks(int(block[0]), int(block[1]))
