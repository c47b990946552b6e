"""The gradient of a product's nonzeros, and of its bias.

For the lists and the grid of `winnow.engine.sparse_cpu.graph.correlate`

    gradient[k] = Σ_{g,i,j,example} delta[at[r] + out steps] · x[offset[k] + in steps], k in row r.

Every nonzero has a vector of W partial sums. Slab by slab, the partial sums and the input of a
block stay in the caches while all blocks of the map go by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from winnow.engine.sparse_cpu.kernels.block import block_dot, load_block, zero_block
from winnow.engine.sparse_cpu.kernels.block_shapes import BlockShape, block_shapes
from winnow.engine.sparse_cpu.kernels.grid import (
    COLUMNS,
    GROUPS,
    IN_GROUP,
    IN_PIXEL,
    IN_ROW,
    OUT_GROUP,
    OUT_PIXEL,
    OUT_ROW,
    ROWS,
)
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import EntryPoint, inlined, kernel, named_kernel
from winnow.kernels.simd import W, add, load_vector, reduce_rows, scalar, splat, store, total


@inlined
def add_block(
    zero: Any, grid: Int64s, start: Int32s, offset: Int32s, at: Int32s, x: Floats,
    delta: Floats, partial: Floats, slab: int, base: int, begin: int, fresh: bool,
) -> None:  # fmt: skip
    """Add one block's part to the partial sums of a slab, or begin them with it: ``fresh``."""
    rows = at.size
    in_group, in_row = grid[IN_GROUP], grid[IN_ROW]
    out_group, out_row, out_pixel = grid[OUT_GROUP], grid[OUT_ROW], grid[OUT_PIXEL]
    first = int(scalar(start, slab * rows))
    for r in range(rows):
        k = int(scalar(start, slab * rows + r))
        end = int(scalar(start, slab * rows + r + 1))
        if k == end:
            continue
        d = load_block(zero, delta, begin + scalar(at, r), out_group, out_row, out_pixel)
        while k < end:
            part = block_dot(d, x, base + scalar(offset, k), in_group, in_row)
            place = (k - first) * W
            store(partial, place, part if fresh else add(load_vector(partial, place), part))
            k += 1


@inlined
def reduce_partial(
    partial: Floats, gradient: Floats, first: int, end: int, accumulate: bool
) -> None:
    """The gradient of the nonzeros first to end from their partial sums."""
    k = first
    while k + W <= end:
        g = reduce_rows(partial, (k - first) * W)
        if accumulate:
            g = add(g, load_vector(gradient, k))
        store(gradient, k, g)
        k += W
    while k < end:
        one = total(load_vector(partial, (k - first) * W))
        gradient[k] = gradient[k] + one if accumulate else one
        k += 1


def _differentiator(shape: BlockShape) -> Any:
    """The kernel for blocks of one shape: what one region gives to the gradient."""
    zero = zero_block(*shape)
    deep, high, wide = shape[:3]

    @named_kernel(f"differentiate_{shape.name}")
    def differentiate(
        region: tuple[int, ...],
        grid: Int64s,
        start: Int32s,
        offset: Int32s,
        at: Int32s,
        x: Floats,
        delta: Floats,
        partial: Floats,
        gradient: Floats,
        accumulate: bool,
    ) -> None:
        group, groups, row, rows, column, columns = region
        for slab in range((start.size - 1) // at.size):
            first, end = int(start[slab * at.size]), int(start[(slab + 1) * at.size])
            fresh = True
            for g in range(group, groups, deep):
                for i in range(row, rows, high):
                    for j in range(column, columns, wide):
                        base = g * grid[IN_GROUP] + i * grid[IN_ROW] + j * grid[IN_PIXEL]
                        begin = g * grid[OUT_GROUP] + i * grid[OUT_ROW] + j * grid[OUT_PIXEL]
                        add_block(
                            zero(), grid, start, offset, at, x, delta,
                            partial, slab, base, begin, fresh,
                        )  # fmt: skip
                        fresh = False
            reduce_partial(partial, gradient, first, end, accumulate)

    return differentiate


DIFFERENTIATE = {shape: _differentiator(shape) for shape in block_shapes()}


@kernel
def row_sums(grid: Int64s, at: Int32s, delta: Floats, result: Floats) -> None:
    """result[r] = the sum of row r of ``delta`` over all pixels and examples."""
    for r in range(at.size):
        sums = splat(np.float32(0))
        for group in range(grid[GROUPS]):
            for row in range(grid[ROWS]):
                place = at[r] + group * grid[OUT_GROUP] + row * grid[OUT_ROW]
                line = splat(np.float32(0))
                for _ in range(grid[COLUMNS]):
                    line = add(line, load_vector(delta, place))
                    place += grid[OUT_PIXEL]
                sums = add(sums, line)
        result[r] = total(sums)


_floats, _integers, _numbers = types.float32[::1], types.int32[::1], types.int64[::1]
_tuple: Any = types.UniTuple
_arguments = (
    *(_tuple(types.int64, 6), _numbers, _integers, _integers, _integers),
    *(_floats, _floats, _floats, _floats, types.boolean),
)
ENTRIES = (
    *(EntryPoint(differentiate, _arguments) for differentiate in DIFFERENTIATE.values()),
    EntryPoint(row_sums, (_numbers, _integers, _floats, _floats)),
)
