"""The gradient of a product's nonzeros, and of its bias.

For the lists and the grid of `winnow.engine.sparse_cpu.correlate`

    gradient[k] = Σ_{g,i,j,lane} delta[at[r] + out steps] · x[offset[k] + in steps], k in row r.

Every nonzero has a vector of W partial sums. Slab by slab, the partial sums and the input of a
block stay in the caches while all blocks of the map go by.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from winnow.engine.sparse_cpu.block import dot, fetch
from winnow.engine.sparse_cpu.cache import Entry, kernel
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
    cover,
)
from winnow.engine.sparse_cpu.network import Floats, Integers
from winnow.engine.sparse_cpu.simd import W, add, load, read, reduce_rows, splat, store, total


class Task(NamedTuple):
    """What the gradient is computed from, as blocks see it."""

    grid: Numbers
    start: Integers
    offset: Integers
    at: Integers
    x: Floats
    delta: Floats
    partial: Floats


@kernel
def gradient_block(
    zero: Any, task: Task, slab: int, group: int, row: int, column: int, last: bool
) -> None:
    """Add one block's part to the partial sums of a slab."""
    grid, rows = task.grid, task.at.size
    in_group, in_row = grid[IN_GROUP], grid[IN_ROW]
    out_group, out_row, out_pixel = grid[OUT_GROUP], grid[OUT_ROW], grid[OUT_PIXEL]
    base = group * in_group + row * in_row + column * grid[IN_PIXEL]
    begin = group * out_group + row * out_row + column * out_pixel
    first = int(read(task.start, slab * rows))
    for r in range(rows):
        k = int(read(task.start, slab * rows + r))
        end = int(read(task.start, slab * rows + r + 1))
        if k == end:
            continue
        to = begin + read(task.at, r)
        delta = fetch(zero, task.delta, to, out_group, out_row, out_pixel)
        while k < end:
            part = dot(delta, task.x, base + read(task.offset, k), in_group, in_row)
            place = (k - first) * W
            store(task.partial, place, add(load(task.partial, place), part))
            k += 1


_add_blocks = cover(gradient_block)


@kernel
def weight_gradient(
    grid: Numbers,
    start: Integers,
    offset: Integers,
    at: Integers,
    x: Floats,
    delta: Floats,
    partial: Floats,
    gradient: Floats,
) -> None:
    """The gradient of every nonzero, in the order of the lists. Overwrites ``gradient``.

    ``partial``: scratch, W floats for every nonzero of the largest slab (or more).
    """
    rows = at.size
    if rows == 0:
        return
    task = Task(grid, start, offset, at, x, delta, partial)
    for slab in range((start.size - 1) // rows):
        first, end = start[slab * rows], start[(slab + 1) * rows]
        partial[: (end - first) * W] = np.float32(0)
        _add_blocks(grid, task, slab)
        k = first
        while k + W <= end:
            store(gradient, k, reduce_rows(partial, (k - first) * W))
            k += W
        while k < end:
            gradient[k] = total(load(partial, (k - first) * W))
            k += 1


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
ENTRIES = (
    Entry(
        weight_gradient,
        (_numbers, _integers, _integers, _integers, _floats, _floats, _floats, _floats),
    ),
    Entry(row_sums, (_numbers, _integers, _floats, _floats)),
)
