"""The gradient of a product's nonzeros, and of its bias.

For the lists and the grid of `winnow.engine.sparse_cpu.correlate`

    gradient[k] = Σ_{g,i,j,lane} delta[at[r] + out steps] · x[offset[k] + in steps], k in row r.

Every nonzero has a vector of W partial sums. Slab by slab, the partial sums and the input of a
block stay in the caches while all blocks of the map go by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types

from winnow.engine.sparse_cpu.block import dot, fetch, zeros
from winnow.engine.sparse_cpu.cover import (
    COLUMNS,
    GROUPS,
    IN_GROUP,
    IN_PIXEL,
    IN_ROW,
    OUT_GROUP,
    OUT_PIXEL,
    OUT_ROW,
    ROWS,
    Numbers,
    Shape,
    regions,
    shapes,
)
from winnow.kernels.arrays import Floats, Integers
from winnow.kernels.cache import Entry, kernel, named, part
from winnow.kernels.simd import W, add, load, read, reduce_rows, splat, store, total


@part
def add_block(
    zero: Any, grid: Numbers, start: Integers, offset: Integers, at: Integers, x: Floats,
    delta: Floats, partial: Floats, slab: int, base: int, begin: int, fresh: bool,
) -> None:  # fmt: skip
    """Add one block's part to the partial sums of a slab, or begin them with it: ``fresh``."""
    rows = at.size
    in_group, in_row = grid[IN_GROUP], grid[IN_ROW]
    out_group, out_row, out_pixel = grid[OUT_GROUP], grid[OUT_ROW], grid[OUT_PIXEL]
    first = int(read(start, slab * rows))
    for r in range(rows):
        k = int(read(start, slab * rows + r))
        end = int(read(start, slab * rows + r + 1))
        if k == end:
            continue
        d = fetch(zero, delta, begin + read(at, r), out_group, out_row, out_pixel)
        while k < end:
            part = dot(d, x, base + read(offset, k), in_group, in_row)
            place = (k - first) * W
            store(partial, place, part if fresh else add(load(partial, place), part))
            k += 1


@part
def reduce(partial: Floats, gradient: Floats, first: int, end: int, accumulate: bool) -> None:
    """The gradient of the nonzeros first to end from their partial sums."""
    k = first
    while k + W <= end:
        g = reduce_rows(partial, (k - first) * W)
        if accumulate:
            g = add(g, load(gradient, k))
        store(gradient, k, g)
        k += W
    while k < end:
        one = total(load(partial, (k - first) * W))
        gradient[k] = gradient[k] + one if accumulate else one
        k += 1


def _differentiator(shape: Shape) -> Any:
    """The kernel for blocks of one shape: what one region gives to the gradient."""
    zero = zeros(*shape)
    deep, high, wide = shape[:3]

    @named(f"differentiate_{shape.name}")
    def differentiate(
        region: tuple[int, ...],
        grid: Numbers,
        start: Integers,
        offset: Integers,
        at: Integers,
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
            reduce(partial, gradient, first, end, accumulate)

    return differentiate


_DIFFERENTIATE = {shape: _differentiator(shape) for shape in shapes()}


def weight_gradient(
    grid: Numbers,
    start: Integers,
    offset: Integers,
    at: Integers,
    x: Floats,
    delta: Floats,
    partial: Floats,
    gradient: Floats,
    accumulate: bool = False,
) -> None:
    """The gradient of every nonzero, in the order of the lists. Overwrites ``gradient``.

    ``accumulate``: add to what stands there, from other groups of a batch.
    ``partial``: scratch, W floats for every nonzero of the largest slab (or more).
    """
    for i, (shape, *region) in enumerate(regions(grid) if at.size else ()):
        _DIFFERENTIATE[shape](
            tuple(region), grid, start, offset, at, x, delta, partial, gradient, accumulate or i > 0
        )


@kernel
def row_sums(grid: Numbers, at: Integers, delta: Floats, result: Floats) -> None:
    """result[r] = the sum of row r of ``delta`` over all pixels, groups and lanes."""
    for r in range(at.size):
        sums = splat(np.float32(0))
        for group in range(grid[GROUPS]):
            for row in range(grid[ROWS]):
                place = at[r] + group * grid[OUT_GROUP] + row * grid[OUT_ROW]
                line = splat(np.float32(0))
                for _ in range(grid[COLUMNS]):
                    line = add(line, load(delta, place))
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
    *(Entry(differentiate, _arguments) for differentiate in _DIFFERENTIATE.values()),
    Entry(row_sums, (_numbers, _integers, _floats, _floats)),
)
