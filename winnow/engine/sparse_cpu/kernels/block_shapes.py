"""The shapes of blocks that kernels are compiled for.

A block has as many vectors as half of the registers, if the map has so many pixels: 4 x 4 where
there are 32. What such blocks leave over takes smaller ones. The smallest maps take blocks of
several groups. Every shape costs a second or two of compilation, once, so there are few.
`winnow.engine.sparse_cpu.graph.regions` covers maps with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from winnow.kernels.simd import W

MOST_VECTORS = 16 if W == 16 else 8  # half of the registers that AVX-512, or AVX2, has
BLOCK_SIDES = (4, 2, 1)
MOST_GROUPS = 4


class BlockShape(NamedTuple):
    """Groups, rows and columns of a block, and the step between its pixels in the input."""

    groups: int
    rows: int
    columns: int
    step: int  # in vectors, 1 or 2; 1 for a single column

    @property
    def name(self) -> str:
        """A name for the kernels of this shape."""
        return f"{self.groups}x{self.rows}x{self.columns}_{self.step}"


def block_depth(rows: int, columns: int) -> int:
    """Groups of a block: several for the smallest maps, and for linear layers."""
    return min(MOST_GROUPS, MOST_VECTORS // (rows * columns)) if rows == columns else 1


def block_widths(step: int) -> tuple[int, ...]:
    """Columns of blocks whose pixels are so many vectors apart: fewer kinds for a rare step."""
    return {1: BLOCK_SIDES, 2: (4, 1)}.get(step, (1,))


def block_shapes() -> list[BlockShape]:
    """Every shape."""
    return [
        BlockShape(groups, rows, columns, step)
        for rows, columns, step in _flat()
        for groups in sorted({1, block_depth(rows, columns) if step == 1 else 1})
    ]


def _flat() -> Iterator[tuple[int, int, int]]:
    """Rows, columns and step of every shape."""
    for step in (1, 2):
        for columns in block_widths(step):
            if columns > 1 or step == 1:
                fitting = (rows for rows in BLOCK_SIDES if rows * columns <= MOST_VECTORS)
                yield from ((rows, columns, step) for rows in fitting)
