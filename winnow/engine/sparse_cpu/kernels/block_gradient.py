"""The gradient of a product's nonzeros, and of its bias.

For the lists and the grid of `winnow.engine.sparse_cpu.graph.correlate`

    gradient[k] = Σ_{g,i,j,example} delta[at[r] + out steps] · x[offset[k] + in steps], k in row r.

Every nonzero has a vector of W partial sums. Slab by slab, the partial sums and the input of a
block stay in the caches while all blocks of the map go by, or those of a strip.

The way back through a product reads the gradient by its output twice. Where that is computed strip
by strip (`winnow.engine.sparse_cpu.kernels.strips`), one kernel does both with each strip.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from winnow.engine.sparse_cpu.kernels.block import block_dot, load_block, zero_block
from winnow.engine.sparse_cpu.kernels.block_product import ProductTask, multiply_run
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
from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.engine.sparse_cpu.kernels.strips import ROWS as STRIP_ROWS
from winnow.engine.sparse_cpu.kernels.strips import Filled, fill_strip, filled_type
from winnow.kernels.arrays import Floats, Int32s, Int64s, Values
from winnow.kernels.compile import EntryPoint, inlined, kernel, named_kernel
from winnow.kernels.simd import W, add, load_vector, reduce_rows, scalar, splat, store, total


class GradientTask(NamedTuple):
    """What the gradient of nonzeros is made from."""

    grid: Int64s
    start: Int32s
    offset: Int32s
    at: Int32s
    x: Floats
    delta: Floats
    partial: Floats


@inlined
def add_block(
    zero: Any, task: GradientTask, slab: int, first: int, base: int, begin: int, fresh: bool
) -> None:
    """Add one block's part to the partial sums of a slab, or begin them with it: ``fresh``.

    ``first``: the nonzero whose sums lie at the beginning.
    """
    grid, rows = task.grid, task.at.size
    in_group, in_row = grid[IN_GROUP], grid[IN_ROW]
    out_group, out_row, out_pixel = grid[OUT_GROUP], grid[OUT_ROW], grid[OUT_PIXEL]
    for r in range(rows):
        k = int(scalar(task.start, slab * rows + r))
        end = int(scalar(task.start, slab * rows + r + 1))
        if k == end:
            continue
        d = load_block(zero, task.delta, begin + scalar(task.at, r), out_group, out_row, out_pixel)
        while k < end:
            part = block_dot(d, task.x, base + scalar(task.offset, k), in_group, in_row)
            place = (k - first) * W
            store(
                task.partial, place, part if fresh else add(load_vector(task.partial, place), part)
            )
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
    """The kernel for blocks of one shape: what one region gives to the gradients."""
    zero = zero_block(*shape)
    deep, high, wide = shape[:3]

    @named_kernel(f"differentiate_{shape.name}")
    def differentiate(
        region: tuple[int, ...],
        present: Floats,
        grid: Int64s,
        start: Int32s,
        offset: Int32s,
        at: Int32s,
        x: Floats,
        x_strip: Int64s,
        x_filled: Filled,
        delta: Floats,
        delta_strip: Int64s,
        delta_filled: Filled,
        partial: Floats,
        gradient: Floats,
        accumulate: bool,
        back_grid: Int64s,
        back_start: Int32s,
        back_offset: Int32s,
        back_weight: Floats,
        back_at: Int32s,
        out: Values,
        out_accumulate: bool,
        out_streams: bool,
        gate: Values,
        y: Values,
        gate_scale: Floats,
        gate_offset: Floats,
        shift: Floats,
        sums: Floats,
    ) -> None:
        task = GradientTask(grid, start, offset, at, x, delta, partial)
        back = ProductTask(
            back_grid, back_start, back_offset, back_weight, back_at, sums[:0], delta, out,
            present, False, out_accumulate, out_streams,
            gate, y, gate_scale, gate_offset, shift, sums,
        )  # fmt: skip
        group, groups, row, rows, column, columns = region
        most, together = rows - row, groups - group
        fills_x, fills_delta = x_strip.size > 0, delta_strip.size > 0
        if fills_x or fills_delta:
            together = deep
            most = x_strip[STRIP_ROWS] if fills_x else delta_strip[STRIP_ROWS]
        slabs = (start.size - 1) // at.size
        one_slab = back_start.size == back_at.size + 1
        run = (columns - column) // wide if one_slab else 1
        fresh = True
        for g in range(group, groups, together):
            last = g + together == grid[GROUPS]
            x_group, delta_group = 0 if fills_x else g, 0 if fills_delta else g
            for top in range(row, rows, most):
                bottom = min(top + most, rows)
                x_row, delta_row = top if fills_x else 0, top if fills_delta else 0
                if fills_x:
                    fill_strip(x_strip, x_filled, present, last, g, deep, top, bottom - top, x)
                if fills_delta:
                    fill_strip(
                        delta_strip, delta_filled, present, last, g, deep, top, bottom - top, delta
                    )
                for slab in range(slabs):
                    first = 0 if fills_x or fills_delta else int(start[slab * at.size])
                    begins = fresh
                    for d in range(0, together, deep):
                        for i in range(top, bottom, high):
                            for j in range(column, columns, wide):
                                base = (x_group + d) * grid[IN_GROUP] + j * grid[IN_PIXEL]
                                base += (i - x_row) * grid[IN_ROW]
                                begin = (delta_group + d) * grid[OUT_GROUP] + j * grid[OUT_PIXEL]
                                begin += (i - delta_row) * grid[OUT_ROW]
                                add_block(zero(), task, slab, first, base, begin, begins)
                                begins = False
                    if not (fills_x or fills_delta):
                        end = int(start[(slab + 1) * at.size])
                        reduce_partial(partial, gradient, first, end, accumulate)
                fresh = False
                if back_at.size > 0:
                    for i in range(top, bottom, high):
                        for j in range(column, columns, run * wide):
                            base = delta_group * back_grid[IN_GROUP] + j * back_grid[IN_PIXEL]
                            base += (i - delta_row) * back_grid[IN_ROW]
                            begin = g * back_grid[OUT_GROUP] + j * back_grid[OUT_PIXEL]
                            begin += i * back_grid[OUT_ROW]
                            multiply_run(zero(), wide, run, back, base, begin, last)
        if fills_x or fills_delta:
            reduce_partial(partial, gradient, 0, int(start[start.size - 1]), accumulate)

    return differentiate


DIFFERENTIATE = {shape: _differentiator(shape) for shape in block_shapes()}


@kernel
def row_sums(grid: Int64s, at: Int32s, delta: Values, result: Floats) -> None:
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
_flag, _ways = types.boolean, (_numbers, _integers, _integers)
_product = (_tuple(types.int64, 6), _floats, *_ways, _integers)


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    read = (_floats, _numbers, filled_type(maps))
    back = (*_ways, _floats, _integers, maps, _flag, _flag, maps, maps, *[_floats] * 4)
    arguments = (*_product, *read, *read, _floats, _floats, _flag, *back)
    gradients = (EntryPoint(diff, arguments, kind) for diff in DIFFERENTIATE.values())
    return *gradients, EntryPoint(row_sums, (_numbers, _integers, maps, _floats), kind)


ENTRIES, ENTRIES_BF16 = for_both(_entries)
