"""What lies between products: pools, means, sums, ReLU, scales, phases of strides, copies."""

from __future__ import annotations

import numpy as np

from winnow.deploy.runtime.kernels.code import (
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
    X,
    X_PLANE,
    X_ROW,
)
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import inlined, kernel
from winnow.kernels.simd import (
    W,
    add,
    fma,
    larger,
    load_vector,
    mul,
    relu,
    scalar,
    splat,
    store,
    where_positive,
)


@inlined
def larger_of(a: np.float32, b: np.float32) -> np.float32:
    """The larger one; NaN where either is."""
    return b if b > a or b != b else a


@kernel
def pool_single(op: Int64s, arena: Floats) -> None:
    """Maximum or average of windows, one example."""
    share = np.float32(1) / np.float32(op[KERNEL_H] * op[KERNEL_W])
    for c in range(op[CHANNELS]):
        for i in range(op[HEIGHT]):
            row = op[X] + c * op[X_PLANE] + (i * op[STRIDE_H] - op[PAD_H]) * op[X_ROW] - op[PAD_W]
            to = op[OUT] + c * op[OUT_PLANE] + i * op[OUT_ROW]
            for j in range(op[WIDE]):
                at = row + j * op[STRIDE_W]
                value = np.float32(0) if op[AVERAGE] != 0 else scalar(arena, at)
                for y in range(op[KERNEL_H]):
                    for x in range(op[KERNEL_W]):
                        one = scalar(arena, at + y * op[X_ROW] + x)
                        value = value + one if op[AVERAGE] != 0 else larger_of(value, one)
                arena[to + j] = value * share if op[AVERAGE] != 0 else value


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
    lanes, channels = op[LANES], op[CHANNELS]
    for a in range(op[KERNEL_H]):
        for b in range(op[KERNEL_W]):
            for c in range(channels):
                plane = (a * op[KERNEL_W] + b) * channels + c
                for i in range((op[HEIGHT] - a + op[STRIDE_H] - 1) // op[STRIDE_H]):
                    row = op[X] + c * op[X_PLANE] + (i * op[STRIDE_H] + a) * op[X_ROW] + b * lanes
                    to = op[OUT] + plane * op[OUT_PLANE] + i * op[OUT_ROW]
                    for j in range((op[WIDE] - b + op[STRIDE_W] - 1) // op[STRIDE_W]):
                        at = row + j * op[STRIDE_W] * lanes
                        for lane in range(lanes):
                            arena[to + j * lanes + lane] = scalar(arena, at + lane)


@kernel
def copy_channels(op: Int64s, arena: Floats) -> None:
    """The first ``COUNT`` floats of every channel."""
    for c in range(op[CHANNELS]):
        at, to = op[X] + c * op[X_PLANE], op[OUT] + c * op[OUT_PLANE]
        for f in range(op[COUNT]):
            arena[to + f] = scalar(arena, at + f)
