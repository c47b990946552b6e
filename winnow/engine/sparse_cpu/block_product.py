"""The kernels behind `winnow.engine.sparse_cpu.correlate`: one for each shape of blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from winnow.engine.sparse_cpu.block import (
    add,
    add_product,
    count,
    fetch,
    fill,
    mask_last,
    put,
    relu,
    sub,
    total,
    total_product,
    where_positive,
    zeros,
)
from winnow.engine.sparse_cpu.cover import (
    GROUPS,
    IN_GROUP,
    IN_PIXEL,
    IN_ROW,
    OUT_GROUP,
    OUT_PIXEL,
    OUT_ROW,
    Numbers,
    Shape,
    shapes,
)
from winnow.kernels.arrays import Floats, Integers
from winnow.kernels.cache import Entry, named, part
from winnow.kernels.simd import W, load, read, splat, store
from winnow.kernels.simd import add as add_vectors


class Task(NamedTuple):
    """What a product works on, as blocks see it."""

    grid: Numbers
    start: Integers
    offset: Integers
    weight: Floats
    at: Integers
    bias: Floats
    x: Floats
    out: Floats
    lanes: Floats
    relu: bool
    accumulate: bool
    gate: Floats
    y: Floats
    shift: Floats
    sums: Floats


@part
def add_row(
    block: Any,
    start: int,
    end: int,
    offset: Integers,
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
    if count(block) <= 4 and end - start >= 4:
        a = b = c = fill(block, splat(np.float32(0)))
        while k + 3 < end:
            block = add_product(block, read(weight, k), x, base + read(offset, k), group, row)
            a = add_product(a, read(weight, k + 1), x, base + read(offset, k + 1), group, row)
            b = add_product(b, read(weight, k + 2), x, base + read(offset, k + 2), group, row)
            c = add_product(c, read(weight, k + 3), x, base + read(offset, k + 3), group, row)
            k += 4
        block = add(add(block, a), add(b, c))
    while k < end:
        block = add_product(block, read(weight, k), x, base + read(offset, k), group, row)
        k += 1
    return block


@part
def finish(block: Any, task: Task, r: int, to: int, last: bool) -> Any:
    """What follows the sums of row r: gate, ReLU, empty lanes, sums. ``to``: the block in out."""
    group, row, pixel = task.grid[OUT_GROUP], task.grid[OUT_ROW], task.grid[OUT_PIXEL]
    if task.gate.size != 0:
        block = where_positive(block, fetch(block, task.gate, to, group, row, pixel))
    if task.relu:
        block = relu(block)
    lanes = load(task.lanes, 0)
    if last:
        block = mask_last(block, lanes)
    if task.sums.size != 0:
        shift = fill(block, splat(read(task.shift, r)))
        if task.y.size != 0:
            first, second = block, sub(fetch(block, task.y, to, group, row, pixel), shift)
        else:
            first = sub(block, shift)
            if last:
                first = mask_last(first, lanes)
            second = first
        place = 2 * W * r
        store(task.sums, place, add_vectors(load(task.sums, place), total(first)))
        place += W
        both = total_product(first, second)
        store(task.sums, place, add_vectors(load(task.sums, place), both))
    return block


@part
def multiply_run(
    zero: Any, wide: int, run: int, task: Task, base: int, begin: int, last: bool
) -> None:
    """Blocks side by side, ``run`` of them, of every row of the output.

    ``base`` and ``begin``: where the first one lies in x and in out.
    """
    grid, rows = task.grid, task.at.size
    in_group, in_row, in_block = grid[IN_GROUP], grid[IN_ROW], wide * grid[IN_PIXEL]
    out_group, out_row, out_pixel = grid[OUT_GROUP], grid[OUT_ROW], grid[OUT_PIXEL]
    slabs = (task.start.size - 1) // rows
    plain = not (last or task.relu or task.gate.size or task.sums.size)
    for slab in range(slabs):
        for r in range(rows):
            k = int(read(task.start, slab * rows + r))
            end = int(read(task.start, slab * rows + r + 1))
            if k == end and 0 < slab < slabs - 1:
                continue
            for number in range(run):
                to = begin + read(task.at, r) + number * wide * out_pixel
                block = zero
                if slab > 0 or task.accumulate:
                    block = fetch(zero, task.out, to, out_group, out_row, out_pixel)
                elif task.bias.size != 0:
                    block = fill(zero, splat(read(task.bias, r)))
                place = base + number * in_block
                block = add_row(
                    block, k, end, task.offset, task.weight, task.x, place, in_group, in_row
                )
                if slab == slabs - 1 and not plain:
                    block = finish(block, task, r, to, last)
                put(block, task.out, to, out_group, out_row, out_pixel)


def _multiplier(shape: Shape) -> Any:
    """The kernel that multiplies blocks of one shape: all of a region, for every row."""
    zero = zeros(*shape)
    deep, high, wide = shape[:3]

    @named(f"multiply_{shape.name}")
    def multiply(
        region: tuple[int, ...],
        grid: Numbers,
        start: Integers,
        offset: Integers,
        weight: Floats,
        at: Integers,
        bias: Floats,
        x: Floats,
        out: Floats,
        lanes: Floats,
        relu: bool,
        accumulate: bool,
        gate: Floats,
        y: Floats,
        shift: Floats,
        sums: Floats,
    ) -> None:
        task = Task(
            grid, start, offset, weight, at, bias, x, out,
            lanes, relu, accumulate, gate, y, shift, sums,
        )  # fmt: skip
        group, groups, row, rows, column, columns = region
        # Short rows are bound by memory: whole lines are read and written as streams.
        run = (columns - column) // wide if start.size == at.size + 1 else 1
        for g in range(group, groups, deep):
            last = g + deep == grid[GROUPS]
            for i in range(row, rows, high):
                for j in range(column, columns, run * wide):
                    base = g * grid[IN_GROUP] + i * grid[IN_ROW] + j * grid[IN_PIXEL]
                    begin = g * grid[OUT_GROUP] + i * grid[OUT_ROW] + j * grid[OUT_PIXEL]
                    multiply_run(zero(), wide, run, task, base, begin, last)

    return multiply


MULTIPLY = {shape: _multiplier(shape) for shape in shapes()}


_floats, _integers = types.float32[::1], types.int32[::1]
_numbers, _flag = types.int64[::1], types.boolean
_tuple: Any = types.UniTuple
_arguments = (
    *(_tuple(types.int64, 6), _numbers, _integers, _integers, _floats, _integers),
    *(_floats, _floats, _floats, _floats, _flag, _flag, _floats, _floats, _floats, _floats),
)
ENTRIES = tuple(Entry(multiply, _arguments) for multiply in MULTIPLY.values())
