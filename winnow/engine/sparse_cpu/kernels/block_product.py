"""Products of nonzeros with maps, block by block: one kernel for each shape of blocks.

What they compute, and the arrays they take: `winnow.engine.sparse_cpu.graph.correlate`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from winnow.engine.sparse_cpu.kernels.block import (
    add_blocks,
    add_product,
    block_total,
    block_total_product,
    fill_block,
    gate_block,
    load_block,
    mask_last,
    rectify_block,
    scale_block,
    store_block,
    stream_block,
    subtract_blocks,
    vector_count,
    zero_block,
)
from winnow.engine.sparse_cpu.kernels.block_shapes import BlockShape, block_shapes
from winnow.engine.sparse_cpu.kernels.grid import (
    GROUPS,
    IN_GROUP,
    IN_PIXEL,
    IN_ROW,
    OUT_GROUP,
    OUT_PIXEL,
    OUT_ROW,
)
from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.engine.sparse_cpu.kernels.strips import ROWS, Filled, fill_strip, filled_type
from winnow.kernels.arrays import Floats, Int32s, Int64s, Values
from winnow.kernels.compile import EntryPoint, inlined, kernel, named_kernel
from winnow.kernels.simd import W, add, load_vector, scalar, splat, store


class ProductTask(NamedTuple):
    """What a product works on, as blocks see it."""

    grid: Int64s
    start: Int32s
    offset: Int32s
    weight: Floats
    at: Int32s
    bias: Floats
    x: Floats
    out: Values
    present: Floats
    relu: bool
    accumulate: bool
    streams: bool
    gate: Values
    y: Values
    gate_scale: Floats
    gate_offset: Floats
    shift: Floats
    sums: Floats


@inlined
def add_row(
    block: Any,
    start: int,
    end: int,
    offset: Int32s,
    weight: Floats,
    x: Floats,
    base: int,
    group: int,
    row: int,
) -> Any:
    """The block and the products of the nonzeros start to end.

    Small blocks take four nonzeros at a time: an addition takes four cycles.
    """
    k = start
    if vector_count(block) <= 4 and end - start >= 4:
        a = b = c = fill_block(block, splat(np.float32(0)))
        while k + 3 < end:
            block = add_product(block, scalar(weight, k), x, base + scalar(offset, k), group, row)
            a = add_product(a, scalar(weight, k + 1), x, base + scalar(offset, k + 1), group, row)
            b = add_product(b, scalar(weight, k + 2), x, base + scalar(offset, k + 2), group, row)
            c = add_product(c, scalar(weight, k + 3), x, base + scalar(offset, k + 3), group, row)
            k += 4
        block = add_blocks(add_blocks(block, a), add_blocks(b, c))
    while k < end:
        block = add_product(block, scalar(weight, k), x, base + scalar(offset, k), group, row)
        k += 1
    return block


@inlined
def finish_row(block: Any, task: ProductTask, r: int, to: int, last: bool) -> Any:
    """What follows the sums of row r: gate, ReLU, empty elements, sums. ``to``: where in out."""
    group, row, pixel = task.grid[OUT_GROUP], task.grid[OUT_ROW], task.grid[OUT_PIXEL]
    if task.gate.size != 0:
        block = gate_block(block, load_block(block, task.gate, to, group, row, pixel))
    elif task.gate_scale.size != 0:
        y = load_block(block, task.y, to, group, row, pixel)
        scale, offset = scalar(task.gate_scale, r), scalar(task.gate_offset, r)
        block = gate_block(block, scale_block(y, scale, offset))
    if task.relu:
        block = rectify_block(block)
    present = load_vector(task.present, 0)
    if last:
        block = mask_last(block, present)
    if task.sums.size != 0:
        shift = fill_block(block, splat(scalar(task.shift, r)))
        if task.y.size != 0:
            first, second = (
                block,
                subtract_blocks(load_block(block, task.y, to, group, row, pixel), shift),
            )
        else:
            first = subtract_blocks(block, shift)
            if last:
                first = mask_last(first, present)
            second = first
        place = 2 * W * r
        store(task.sums, place, add(load_vector(task.sums, place), block_total(first)))
        place += W
        both = block_total_product(first, second)
        store(task.sums, place, add(load_vector(task.sums, place), both))
    return block


@inlined
def multiply_run(
    zero: Any, wide: int, run: int, task: ProductTask, base: int, begin: int, last: bool
) -> None:
    """Blocks side by side, ``run`` of them, of every row of the output.

    ``base`` and ``begin``: where the first one lies in x and in out.
    """
    grid, rows = task.grid, task.at.size
    in_group, in_row, in_block = grid[IN_GROUP], grid[IN_ROW], wide * grid[IN_PIXEL]
    out_group, out_row, out_pixel = grid[OUT_GROUP], grid[OUT_ROW], grid[OUT_PIXEL]
    slabs = (task.start.size - 1) // rows
    gated = task.gate.size != 0 or task.gate_scale.size != 0
    plain = not (last or task.relu or gated or task.sums.size)
    streams = task.streams and slabs == 1 and not task.accumulate
    for slab in range(slabs):
        for r in range(rows):
            k = int(scalar(task.start, slab * rows + r))
            end = int(scalar(task.start, slab * rows + r + 1))
            if k == end and 0 < slab < slabs - 1:
                continue
            for number in range(run):
                to = begin + scalar(task.at, r) + number * wide * out_pixel
                block = zero
                if slab > 0 or task.accumulate:
                    block = load_block(zero, task.out, to, out_group, out_row, out_pixel)
                elif task.bias.size != 0:
                    block = fill_block(zero, splat(scalar(task.bias, r)))
                place = base + number * in_block
                block = add_row(
                    block, k, end, task.offset, task.weight, task.x, place, in_group, in_row
                )
                if slab == slabs - 1 and not plain:
                    block = finish_row(block, task, r, to, last)
                if streams:
                    stream_block(block, task.out, to, out_group, out_row, out_pixel)
                else:
                    store_block(block, task.out, to, out_group, out_row, out_pixel)


def _multiplier(shape: BlockShape) -> Any:
    """The kernel that multiplies blocks of one shape: all of a region, for every row."""
    zero = zero_block(*shape)
    deep, high, wide = shape[:3]

    @named_kernel(f"multiply_{shape.name}")
    def multiply(
        region: tuple[int, ...],
        grid: Int64s,
        start: Int32s,
        offset: Int32s,
        weight: Floats,
        at: Int32s,
        bias: Floats,
        x: Floats,
        strip: Int64s,
        filled: Filled,
        out: Values,
        present: Floats,
        relu: bool,
        accumulate: bool,
        streams: bool,
        gate: Values,
        y: Values,
        gate_scale: Floats,
        gate_offset: Floats,
        shift: Floats,
        sums: Floats,
    ) -> None:
        task = ProductTask(
            grid, start, offset, weight, at, bias, x, out, present, relu, accumulate, streams,
            gate, y, gate_scale, gate_offset, shift, sums,
        )  # fmt: skip
        group, groups, row, rows, column, columns = region
        # Short rows are bound by memory: whole lines are read and written as streams.
        run = (columns - column) // wide if start.size == at.size + 1 else 1
        most = strip[ROWS] if strip.size > 0 else rows - row
        for g in range(group, groups, deep):
            last = g + deep == grid[GROUPS]
            for top in range(row, rows, most):
                bottom, from_group, from_row = min(top + most, rows), g, 0
                if strip.size > 0:
                    from_group, from_row = 0, top
                    fill_strip(strip, filled, present, last, g, deep, top, bottom - top, x)
                for i in range(top, bottom, high):
                    for j in range(column, columns, run * wide):
                        base = from_group * grid[IN_GROUP] + (i - from_row) * grid[IN_ROW]
                        base += j * grid[IN_PIXEL]
                        begin = g * grid[OUT_GROUP] + i * grid[OUT_ROW] + j * grid[OUT_PIXEL]
                        multiply_run(zero(), wide, run, task, base, begin, last)

    return multiply


@kernel
def refresh(weight: Floats, place: Int32s, out: Floats) -> None:
    """The weights in the order of the way back."""
    for k in range(place.size):
        out[k] = scalar(weight, scalar(place, k))


MULTIPLY = {shape: _multiplier(shape) for shape in block_shapes()}


_floats, _integers = types.float32[::1], types.int32[::1]
_numbers, _flag = types.int64[::1], types.boolean
_tuple: Any = types.UniTuple
_product = (_tuple(types.int64, 6), _numbers, _integers, _integers, _floats, _integers, _floats)


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    out = (maps, _floats, _flag, _flag, _flag, maps, maps, *[_floats] * 4)
    arguments = (*_product, _floats, _numbers, filled_type(maps), *out)
    products = (EntryPoint(multiply, arguments, kind) for multiply in MULTIPLY.values())
    return *products, EntryPoint(refresh, (_floats, _integers, _floats))


ENTRIES, ENTRIES_BF16 = for_both(_entries)
