"""Covering the pixels of a map with blocks of the shapes that kernels are compiled for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from winnow.engine.sparse_cpu.kernels.block_shapes import (
    BLOCK_SIDES,
    MOST_VECTORS,
    BlockShape,
    block_depth,
    block_widths,
)
from winnow.engine.sparse_cpu.kernels.grid import COLUMNS, GROUPS, IN_PIXEL, ROWS
from winnow.kernels.arrays import Int64s
from winnow.kernels.simd import W


class Region(NamedTuple):
    """Pixels that blocks of one shape cover, from the first to before the last of each side."""

    shape: BlockShape
    group: int
    groups: int
    row: int
    rows: int
    column: int
    columns: int


def regions(grid: Int64s) -> tuple[Region, ...]:
    """Regions that together hold every pixel of a grid once."""
    groups, rows, columns = (int(grid[i]) for i in (GROUPS, ROWS, COLUMNS))
    return _regions(groups, rows, columns, int(grid[IN_PIXEL]) // W)


@lru_cache(maxsize=1024)
def _regions(groups: int, rows: int, columns: int, step: int) -> tuple[Region, ...]:
    made = []
    for c, *across in _strips(columns, block_widths(step)):
        s = step if c > 1 else 1
        for r, *down in _strips(rows, [side for side in BLOCK_SIDES if side * c <= MOST_VECTORS]):
            depth = block_depth(r, c) if s == 1 else 1
            for g, *deep in _strips(groups, sorted({depth, 1}, reverse=True)):
                made.append(Region(BlockShape(g, r, c, s), *deep, *down, *across))
    return tuple(made)


def _strips(length: int, sides: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Strips that cover a length: how wide its blocks are, where it begins and ends."""
    begin = 0
    for side in sides:
        end = length - (length - begin) % side
        if end > begin:
            yield side, begin, end
            begin = end
