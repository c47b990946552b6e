"""What lies between products: pools, means, sums, ReLU, scales, phases of strides, copies."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from winnow.deployment.runtime.kernels.code import (
    AVERAGE,
    BIAS_AT,
    BLOCKS_AT,
    CHANNELS,
    COUNT,
    HEIGHT,
    KERNEL_H,
    KERNEL_W,
    LANES,
    MASK_AT,
    OTHER,
    OUT,
    OUT_PLANE,
    OUT_ROW,
    PAD_H,
    PAD_W,
    RELU,
    SCALE_AT,
    STRIDE_H,
    STRIDE_W,
    WIDE,
    X_PLANE,
    X_ROW,
    X,
)
from winnow.kernels import llvm
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import inlined, kernel
from winnow.kernels.simd import (
    Vector,
    W,
    add,
    fma,
    larger,
    load_vector,
    mul,
    operation,
    relu,
    scalar,
    splat,
    store,
    where_positive,
)


@operation
def every_second(typing: Any, array: Any, index: Any) -> Any:
    """every_second(array float32, index): the elements index, index + 2, …: W of them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        halves = []
        for half in range(2):
            at = builder.add(args[1], ir.Constant(ir.IntType(64), half * W))
            place = llvm.emit_address(context, builder, signature.args[0], args[0], at)
            halves.append(llvm.emit_read(builder, place, llvm.vector_type(W)))
        return llvm.emit_pick(builder, halves[0], halves[1], range(0, 2 * W, 2))

    return Vector(W)(array, types.intp), generate


@operation
def first_elements(typing: Any, vector: Any, count: Any) -> Any:
    """first_elements(vector, count): the others are 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(ir.IntType(32), W)
        number = builder.trunc(args[1], ir.IntType(32))
        one = builder.insert_element(
            ir.Constant(integers, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        counts = llvm.emit_pick(builder, one, one, [0] * W)
        inside = builder.icmp_signed("<", ir.Constant(integers, list(range(W))), counts)
        return builder.select(inside, args[0], llvm.emit_constant(W, 0.0))

    return vector(vector, types.intp), generate


@inlined
def strided(arena: Floats, at: int, stride: int) -> Any:
    """W floats from a place on, 1 or 2 apart."""
    return load_vector(arena, at) if stride == 1 else every_second(arena, at)


@inlined
def larger_of(a: np.float32, b: np.float32) -> np.float32:
    """The larger one; NaN where either is."""
    return b if b > a or b != b else a


@kernel
def pool_single(op: Int64s, arena: Floats) -> None:
    """Maximum or average of windows, one example."""
    stride = op[STRIDE_W]
    for c in range(op[CHANNELS]):
        for i in range(op[HEIGHT]):
            row = op[X] + c * op[X_PLANE] + (i * op[STRIDE_H] - op[PAD_H]) * op[X_ROW] - op[PAD_W]
            to = op[OUT] + c * op[OUT_PLANE] + i * op[OUT_ROW]
            if stride <= 2:
                pool_row(op, arena, row, to)
            else:
                for j in range(op[WIDE]):
                    pool_pixel(op, arena, row + j * stride, to + j)


@inlined
def pool_row(op: Int64s, arena: Floats, row: int, to: int) -> None:
    """A row of windows 1 or 2 apart. What is stored behind it is 0, or comes later."""
    share = splat(np.float32(1) / np.float32(op[KERNEL_H] * op[KERNEL_W]))
    for j in range(0, op[WIDE], W):
        at = row + j * op[STRIDE_W]
        value = splat(np.float32(0))
        if op[AVERAGE] == 0:
            value = strided(arena, at, op[STRIDE_W])
        for y in range(op[KERNEL_H]):
            for x in range(op[KERNEL_W]):
                one = strided(arena, at + y * op[X_ROW] + x, op[STRIDE_W])
                value = add(value, one) if op[AVERAGE] != 0 else larger(value, one)
        value = mul(value, share) if op[AVERAGE] != 0 else value
        store(arena, to + j, first_elements(value, op[WIDE] - j))


@inlined
def pool_pixel(op: Int64s, arena: Floats, at: int, to: int) -> None:
    """One window."""
    value = np.float32(0) if op[AVERAGE] != 0 else scalar(arena, at)
    for y in range(op[KERNEL_H]):
        for x in range(op[KERNEL_W]):
            one = scalar(arena, at + y * op[X_ROW] + x)
            value = value + one if op[AVERAGE] != 0 else larger_of(value, one)
    share = np.float32(1) / np.float32(op[KERNEL_H] * op[KERNEL_W])
    arena[to] = value * share if op[AVERAGE] != 0 else value


@kernel
def pool_lanes(op: Int64s, arena: Floats) -> None:
    """Maximum or average of windows, examples side by side."""
    lanes = op[LANES]
    share = splat(np.float32(1) / np.float32(op[KERNEL_H] * op[KERNEL_W]))
    for c in range(op[CHANNELS]):
        for i in range(op[HEIGHT]):
            row = op[X] + c * op[X_PLANE] + (i * op[STRIDE_H] - op[PAD_H]) * op[X_ROW]
            to = op[OUT] + c * op[OUT_PLANE] + i * op[OUT_ROW]
            for j in range(op[WIDE]):
                for lane in range(0, lanes, W):
                    at = row + (j * op[STRIDE_W] - op[PAD_W]) * lanes + lane
                    value = splat(np.float32(0)) if op[AVERAGE] != 0 else load_vector(arena, at)
                    for y in range(op[KERNEL_H]):
                        for x in range(op[KERNEL_W]):
                            one = load_vector(arena, at + y * op[X_ROW] + x * lanes)
                            value = add(value, one) if op[AVERAGE] != 0 else larger(value, one)
                    value = mul(value, share) if op[AVERAGE] != 0 else value
                    store(arena, to + j * lanes + lane, value)


@kernel
def mean_of_pixels(op: Int64s, arena: Floats) -> None:
    """The mean over the pixels of each channel."""
    lanes, pixels = op[LANES], np.float32(op[HEIGHT] * op[WIDE])
    for c in range(op[CHANNELS]):
        plane, to = op[X] + c * op[X_PLANE], op[OUT] + c * op[OUT_PLANE]
        if lanes < W:
            single = np.float32(0)
            for i in range(op[HEIGHT]):
                for j in range(op[WIDE]):
                    single += scalar(arena, plane + i * op[X_ROW] + j)
            arena[to] = single / pixels
            continue
        for lane in range(0, lanes, W):
            value = splat(np.float32(0))
            for i in range(op[HEIGHT]):
                for j in range(op[WIDE]):
                    at = plane + i * op[X_ROW] + j * lanes + lane
                    value = add(value, load_vector(arena, at))
            store(arena, to + lane, mul(value, splat(np.float32(1) / pixels)))


@kernel
def add_maps(op: Int64s, arena: Floats) -> None:
    """The sum of two maps of one layout, then maybe ReLU; ``OTHER`` -1: of one."""
    for f in range(0, op[COUNT], W):
        value = load_vector(arena, op[X] + f)
        if op[OTHER] >= 0:
            value = add(value, load_vector(arena, op[OTHER] + f))
        store(arena, op[OUT] + f, relu(value) if op[RELU] != 0 else value)


@kernel
def scale_channels(op: Int64s, tables: Int32s, numbers: Floats, arena: Floats) -> None:
    """Each channel times its scale plus its shift, then maybe ReLU; runs of vectors in a table."""
    for c in range(op[CHANNELS]):
        scale = splat(scalar(numbers, op[SCALE_AT] + c))
        shift = splat(scalar(numbers, op[BIAS_AT] + c))
        for run in range(tables[op[BLOCKS_AT]]):
            begin = int(tables[op[BLOCKS_AT] + 1 + 2 * run])
            for f in range(begin, begin + W * tables[op[BLOCKS_AT] + 2 + 2 * run], W):
                value = fma(load_vector(arena, op[X] + c * op[X_PLANE] + f), scale, shift)
                value = relu(value) if op[RELU] != 0 else value
                if op[MASK_AT] >= 0:
                    value = where_positive(value, load_vector(numbers, op[MASK_AT] + f))
                store(arena, op[OUT] + c * op[OUT_PLANE] + f, value)


@kernel
def split_phases(op: Int64s, arena: Floats) -> None:
    """Every STRIDE_H-th row and STRIDE_W-th column, from each of the first ones on, as channels.

    Channel (a·KERNEL_W + b)·CHANNELS + c has the pixels (i·STRIDE_H + a, j·STRIDE_W + b) of channel
    c, for a < KERNEL_H and b < KERNEL_W.
    """
    channels = op[CHANNELS]
    for a in range(op[KERNEL_H]):
        for b in range(op[KERNEL_W]):
            for c in range(channels):
                plane = (a * op[KERNEL_W] + b) * channels + c
                for i in range((op[HEIGHT] - a + op[STRIDE_H] - 1) // op[STRIDE_H]):
                    row = op[X] + c * op[X_PLANE] + (i * op[STRIDE_H] + a) * op[X_ROW]
                    to = op[OUT] + plane * op[OUT_PLANE] + i * op[OUT_ROW]
                    pixels = (op[WIDE] - b + op[STRIDE_W] - 1) // op[STRIDE_W]
                    copy_strided(op, arena, row + b * op[LANES], to, pixels)


@inlined
def copy_strided(op: Int64s, arena: Floats, row: int, to: int, pixels: int) -> None:
    """Pixels of a row to a row. What is stored behind it is 0, or comes later."""
    lanes, stride = op[LANES], op[STRIDE_W]
    if lanes >= W:
        for j in range(pixels):
            for lane in range(0, lanes, W):
                value = load_vector(arena, row + j * stride * lanes + lane)
                store(arena, to + j * lanes + lane, value)
    elif stride <= 2:
        for j in range(0, pixels, W):
            value = strided(arena, row + j * stride, stride)
            store(arena, to + j, first_elements(value, pixels - j))
    else:
        for j in range(pixels):
            arena[to + j] = scalar(arena, row + j * stride)


@kernel
def copy_channels(op: Int64s, arena: Floats) -> None:
    """The first ``COUNT`` floats of every channel."""
    for c in range(op[CHANNELS]):
        at, to = op[X] + c * op[X_PLANE], op[OUT] + c * op[OUT_PLANE]
        for f in range(op[COUNT]):
            arena[to + f] = scalar(arena, at + f)
