"""Sparse weights times a map, a block of vectors at a time: convolutions, and linear layers.

Row r of the weights has the nonzeros start[r] to start[r + 1] of a slab; nonzero k adds weight[k] ·
x[X + offset[k] + f] to out[OUT + r·OUT_PLANE + f], for every float f of the blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from winnow.deployment.runtime.kernels.code import (
    BIAS_AT,
    BLOCKS_AT,
    CHANNELS,
    MASK_AT,
    OFFSET_AT,
    OUT,
    OUT_PLANE,
    RELU,
    RESIDUAL,
    RESIDUAL_PLANE,
    SCALE_AT,
    SLABS,
    START_AT,
    WEIGHT_AT,
    X,
)
from winnow.engine.sparse_cpu.kernels.block import (
    add_blocks,
    add_product,
    fill_block,
    gate_block,
    load_block,
    multiply_blocks,
    rectify_block,
    store_block,
    vector_count,
    zero_block,
)
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import inlined, named_kernel
from winnow.kernels.simd import W, scalar, splat

LARGEST = 8  # vectors of a block: twice as many sums at once as an addition takes cycles


@inlined
def add_nonzero(
    block: Any, weights: Any, w: int, tables: Int32s, at: int, x: Floats, base: int
) -> Any:
    """The block and the product of one nonzero."""
    weight = np.float32(scalar(weights, w))
    return add_product(block, weight, x, base + scalar(tables, at), 0, 0)


@inlined
def add_nonzeros(
    block: Any, weights: Any, w: int, end: int, tables: Int32s, at: int, x: Floats, base: int
) -> Any:
    """The block and the products of the nonzeros w to end; small blocks take several at a time."""
    if vector_count(block) <= 3:
        a = b = c = fill_block(block, splat(np.float32(0)))
        while w + 3 < end:
            block = add_nonzero(block, weights, w, tables, at, x, base)
            a = add_nonzero(a, weights, w + 1, tables, at + 1, x, base)
            b = add_nonzero(b, weights, w + 2, tables, at + 2, x, base)
            c = add_nonzero(c, weights, w + 3, tables, at + 3, x, base)
            w += 4
            at += 4
        block = add_blocks(add_blocks(block, a), add_blocks(b, c))
    elif vector_count(block) <= 6:
        a = fill_block(block, splat(np.float32(0)))
        while w + 1 < end:
            block = add_nonzero(block, weights, w, tables, at, x, base)
            a = add_nonzero(a, weights, w + 1, tables, at + 1, x, base)
            w += 2
            at += 2
        block = add_blocks(block, a)
    while w < end:
        block = add_nonzero(block, weights, w, tables, at, x, base)
        w += 1
        at += 1
    return block


@inlined
def first_sums(block: Any, op: Int64s, r: int, f: int, numbers: Floats, arena: Floats) -> Any:
    """What the products of row r are added to: its bias and what else comes in."""
    block = fill_block(block, splat(scalar(numbers, op[BIAS_AT] + r)))
    if op[RESIDUAL] >= 0:
        at = op[RESIDUAL] + r * op[RESIDUAL_PLANE] + f
        block = add_blocks(block, load_block(block, arena, at, 0, 0, W))
    return block


@inlined
def finish_block(block: Any, op: Int64s, f: int, numbers: Floats) -> Any:
    """The sums after ReLU, and 0 where there is no pixel."""
    if op[RELU] != 0:
        block = rectify_block(block)
    if op[MASK_AT] >= 0:
        block = gate_block(block, load_block(block, numbers, op[MASK_AT] + f, 0, 0, W))
    return block


def _multiplier(count: int, int8_weights: bool) -> Any:
    """The kernel for blocks of so many vectors; weights are float32, or int8 with a scale a row."""
    zero = zero_block(1, 1, count, 1)

    @named_kernel(f"multiply_{count}{'_int8' if int8_weights else ''}")
    def multiply(
        op: Int64s, f: int, tables: Int32s, weights: Any, numbers: Floats, arena: Floats
    ) -> None:
        rows, slabs = op[CHANNELS], op[SLABS]
        for slab in range(slabs):
            for r in range(rows):
                at = op[START_AT] + slab * rows + r
                k, end = int(scalar(tables, at)), int(scalar(tables, at + 1))
                if k == end and 0 < slab < slabs - 1:
                    continue
                to = op[OUT] + r * op[OUT_PLANE] + f
                block = zero()
                if slab > 0:
                    block = load_block(block, arena, to, 0, 0, W)
                elif not int8_weights:
                    block = first_sums(block, op, r, f, numbers, arena)
                w = op[WEIGHT_AT] + k
                block = add_nonzeros(
                    block, weights, w, op[WEIGHT_AT] + end, tables, op[OFFSET_AT] + k, arena,
                    op[X] + f,
                )  # fmt: skip
                if slab == slabs - 1:
                    if int8_weights:
                        scale = fill_block(block, splat(scalar(numbers, op[SCALE_AT] + r)))
                        first = first_sums(block, op, r, f, numbers, arena)
                        block = add_blocks(multiply_blocks(block, scale), first)
                    block = finish_block(block, op, f, numbers)
                store_block(block, arena, to, 0, 0, W)

    return multiply


def _for_maps(name: str, quantised: bool) -> Any:
    """The kernel that multiplies all blocks of a map, with weights of one kind."""
    one, two, three, four, five, six, seven, eight = (
        _multiplier(count, quantised) for count in range(1, LARGEST + 1)
    )

    @named_kernel(name)
    def multiply(op: Int64s, tables: Int32s, weights: Any, numbers: Floats, arena: Floats) -> None:
        at = op[BLOCKS_AT] + LARGEST
        for count in range(LARGEST, 0, -1):
            for _ in range(tables[op[BLOCKS_AT] + count - 1]):
                f = int(tables[at])
                at += 1
                if count == 8:
                    eight(op, f, tables, weights, numbers, arena)
                elif count == 7:
                    seven(op, f, tables, weights, numbers, arena)
                elif count == 6:
                    six(op, f, tables, weights, numbers, arena)
                elif count == 5:
                    five(op, f, tables, weights, numbers, arena)
                elif count == 4:
                    four(op, f, tables, weights, numbers, arena)
                elif count == 3:
                    three(op, f, tables, weights, numbers, arena)
                elif count == 2:
                    two(op, f, tables, weights, numbers, arena)
                else:
                    one(op, f, tables, weights, numbers, arena)

    return multiply


multiply_map = _for_maps("multiply_map", False)
"""All blocks of an operation; the table has how many of each size, then where they begin."""

multiply_map_int8 = _for_maps("multiply_map_int8", True)
"""The same with weights of one byte."""
