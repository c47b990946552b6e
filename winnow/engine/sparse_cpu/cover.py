"""Covering the pixels of a map with blocks of the shapes that kernels are compiled for.

A block has as many vectors as half of the registers, if the map has so many pixels: 4 x 4 where
there are 32. What such blocks leave over takes smaller ones. The smallest maps take blocks of
several groups. Every shape costs a second or two of compilation, once, so there are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.kernels.simd import W

Numbers = NDArray[np.int64]

# What a grid holds: pixels to compute, then steps in the input and in the output, in floats.
GROUPS, ROWS, COLUMNS, IN_GROUP, IN_ROW, IN_PIXEL, OUT_GROUP, OUT_ROW, OUT_PIXEL = range(9)

SUMS = 16 if W == 16 else 8  # half of the registers that AVX-512, or AVX2, has
_SIDES = (4, 2, 1)


class Shape(NamedTuple):
    """Groups, rows and columns of a block, and the step between its pixels in the input."""

    groups: int
    rows: int
    columns: int
    step: int  # in vectors, 1 or 2; 1 for a single column

    @property
    def name(self) -> str:
        """A name for the kernels of this shape."""
        return f"{self.groups}x{self.rows}x{self.columns}_{self.step}"


class Region(NamedTuple):
    """Pixels that blocks of one shape cover, from the first to before the last of each side."""

    shape: Shape
    group: int
    groups: int
    row: int
    rows: int
    column: int
    columns: int


def _depth(rows: int, columns: int) -> int:
    """Groups of a block: several for the smallest maps, and for linear layers."""
    return min(4, SUMS // (rows * columns)) if rows == columns else 1


def _flat() -> Iterator[tuple[int, int, int]]:
    """Rows, columns and step of every shape."""
    for step in (1, 2):
        for columns in _widths(step):
            if columns > 1 or step == 1:
                yield from ((rows, columns, step) for rows in _SIDES if rows * columns <= SUMS)


def _widths(step: int) -> tuple[int, ...]:
    """Columns of blocks whose pixels are so many vectors apart: fewer kinds for a rare step."""
    return {1: _SIDES, 2: (4, 1)}.get(step, (1,))


def shapes() -> list[Shape]:
    """Every shape that `regions` may use."""
    return [
        Shape(groups, rows, columns, step)
        for rows, columns, step in _flat()
        for groups in sorted({1, _depth(rows, columns) if step == 1 else 1})
    ]


def regions(grid: Numbers) -> tuple[Region, ...]:
    """Regions that together hold every pixel of a grid once."""
    groups, rows, columns = (int(grid[i]) for i in (GROUPS, ROWS, COLUMNS))
    return _regions(groups, rows, columns, int(grid[IN_PIXEL]) // W)


@lru_cache(maxsize=1024)
def _regions(groups: int, rows: int, columns: int, step: int) -> tuple[Region, ...]:
    made = []
    for c, *across in _strips(columns, _widths(step)):
        s = step if c > 1 else 1
        for r, *down in _strips(rows, [side for side in _SIDES if side * c <= SUMS]):
            depth = _depth(r, c) if s == 1 else 1
            for g, *deep in _strips(groups, sorted({depth, 1}, reverse=True)):
                made.append(Region(Shape(g, r, c, s), *deep, *down, *across))
    return tuple(made)


def _strips(length: int, sides: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Strips that cover a length: how wide its blocks are, where it begins and ends."""
    begin = 0
    for side in sides:
        end = length - (length - begin) % side
        if end > begin:
            yield side, begin, end
            begin = end
