"""Covering the pixels of a map with blocks of the shapes that kernels are compiled for.

A block has as many vectors as half of the registers, if the map has so many pixels: 4 x 4 where
there are 32. What such blocks leave over takes smaller ones, of several groups at once where the
batch has them, so that there are always sums enough for an addition not to wait for the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.simd import W

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
    return min(4, SUMS // (rows * columns))


def shapes() -> list[Shape]:
    """Every shape that `regions` may use."""
    flat = [(r, c) for r in _SIDES for c in _SIDES if r * c <= SUMS]
    near = [Shape(g, r, c, 1) for r, c in flat for g in sorted({1, _depth(r, c)})]
    return near + [Shape(1, r, c, 2) for r, c in flat if c > 1]


def regions(grid: Numbers) -> tuple[Region, ...]:
    """Regions that together hold every pixel of a grid once."""
    groups, rows, columns = (int(grid[i]) for i in (GROUPS, ROWS, COLUMNS))
    return _regions(groups, rows, columns, int(grid[IN_PIXEL]) // W)


@lru_cache(maxsize=1024)
def _regions(groups: int, rows: int, columns: int, step: int) -> tuple[Region, ...]:
    made = []
    for c, *across in _strips(columns, 4 if step in (1, 2) else 1):
        for r, *down in _strips(rows, min(4, SUMS // c)):
            s = step if c > 1 else 1
            for g, *deep in _strips(groups, _depth(r, c) if s == 1 else 1):
                depth = g if g == _depth(r, c) else 1
                made.append(Region(Shape(depth, r, c, s), *deep, *down, *across))
    return tuple(made)


def _strips(length: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Strips that cover a length: the side of blocks, 4, 2 or 1, where they begin and end."""
    begin = 0
    for side in _SIDES:
        end = length - (length - begin) % side
        if side <= most and end > begin:
            yield side, begin, end
            begin = end
