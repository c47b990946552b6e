"""Pooling windows of images, W examples at a time: the highest pixel, or the mean.

``geometry`` is (rows and columns of a window, their strides, their paddings), as torch's modules
have them. Planes (one channel of one group) lie one after the other: channels need no loop of
their own. Padding is never read: a window is cut to the part inside the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from winnow.engine.sparse_cpu.kernels.map_steps import map_steps
from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.kernels.arrays import Int64s, Values
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import (
    W,
    add,
    div,
    larger,
    load_vector,
    splat,
    store,
    where_equal,
    where_unequal,
)


@kernel
def _window(geometry: Int64s, axis: int, place: int, size: int) -> tuple[int, int, int]:
    """Begin and end of window ``place`` inside an image of ``size``, and how long it is.

    The length counts the padding, but not what a last window has beyond it (torch's ceil_mode).
    """
    begin = place * geometry[2 + axis] - geometry[4 + axis]
    end = begin + geometry[axis]
    length = min(end, size + geometry[4 + axis]) - begin
    return max(begin, 0), min(end, size), length


@kernel
def max_pool(
    din: Int64s, dout: Int64s, geometry: Int64s, groups: int, x: Values, out: Values
) -> None:
    """The highest pixel of every window; NaN where it holds NaN."""
    row, plane, _, origin = map_steps(din)
    out_row, out_plane, _, out_origin = map_steps(dout)
    for p in range(groups * din[0]):
        for i in range(dout[1]):
            top, bottom, _ = _window(geometry, 0, i, din[1])
            for j in range(dout[2]):
                left, right, _ = _window(geometry, 1, j, din[2])
                corner = origin + p * plane + top * row + left * W
                if bottom - top == 2 and right - left == 2:  # the usual window, unrolled by LLVM
                    highest = _highest(2, 2, x, corner, row)
                else:
                    highest = _highest(bottom - top, right - left, x, corner, row)
                store(out, out_origin + p * out_plane + i * out_row + j * W, highest)


@kernel
def _highest(high: int, wide: int, x: Values, corner: int, row: int) -> Any:
    highest = load_vector(x, corner)
    for y in range(high):
        for z in range(wide):
            highest = larger(highest, load_vector(x, corner + y * row + z * W))
    return highest


@kernel
def max_pool_back(
    din: Int64s,
    dout: Int64s,
    geometry: Int64s,
    groups: int,
    x: Values,
    out: Values,
    delta: Values,
    dx: Values,
    accumulate: bool,
) -> None:
    """The gradient ``dx`` by ``x`` from ``delta``, that by ``out``: to the first highest pixel.

    First in row-major order, as torch does on the CPU. Windows that overlap add up.
    ``accumulate``: add to what is in ``dx``.
    """
    row, plane, _, origin = map_steps(din)
    out_row, out_plane, _, out_origin = map_steps(dout)
    tiled = not accumulate and _tiles(din, dout, geometry)
    for p in range(groups * din[0]):
        if not accumulate and not tiled:
            _clear(din, dx, origin + p * plane, row)
        for i in range(dout[1]):
            top, bottom, _ = _window(geometry, 0, i, din[1])
            for j in range(dout[2]):
                left, right, _ = _window(geometry, 1, j, din[2])
                corner = origin + p * plane + top * row + left * W
                at = out_origin + p * out_plane + i * out_row + j * W
                highest, d = load_vector(out, at), load_vector(delta, at)
                if bottom - top == 2 and right - left == 2:
                    _hand_back(2, 2, x, dx, corner, row, highest, d, tiled)
                else:
                    _hand_back(bottom - top, right - left, x, dx, corner, row, highest, d, tiled)


@kernel
def _hand_back(
    high: int,
    wide: int,
    x: Values,
    dx: Values,
    corner: int,
    row: int,
    highest: Any,
    rest: Any,
    tiled: bool,
) -> None:
    """Give ``rest`` to the first pixel of a window that is ``highest``, example by example."""
    for y in range(high):
        for z in range(wide):
            at = corner + y * row + z * W
            pixel = load_vector(x, at)
            passed = where_equal(rest, pixel, highest)
            store(dx, at, passed if tiled else add(load_vector(dx, at), passed))
            rest = where_unequal(rest, pixel, highest)


@kernel
def avg_pool(
    din: Int64s, dout: Int64s, geometry: Int64s, groups: int, x: Values, out: Values
) -> None:
    """The mean of every window, zeros of the padding included."""
    row, plane, _, origin = map_steps(din)
    out_row, out_plane, _, out_origin = map_steps(dout)
    for p in range(groups * din[0]):
        for i in range(dout[1]):
            top, bottom, high = _window(geometry, 0, i, din[1])
            for j in range(dout[2]):
                left, right, wide = _window(geometry, 1, j, din[2])
                corner = origin + p * plane + top * row + left * W
                if bottom - top == 2 and right - left == 2:
                    total = _total(2, 2, x, corner, row)
                else:
                    total = _total(bottom - top, right - left, x, corner, row)
                mean = div(total, splat(np.float32(high * wide)))
                store(out, out_origin + p * out_plane + i * out_row + j * W, mean)


@kernel
def _total(high: int, wide: int, x: Values, corner: int, row: int) -> Any:
    total = splat(np.float32(0))
    for y in range(high):
        for z in range(wide):
            total = add(total, load_vector(x, corner + y * row + z * W))
    return total


@kernel
def avg_pool_back(
    din: Int64s,
    dout: Int64s,
    geometry: Int64s,
    groups: int,
    delta: Values,
    dx: Values,
    accumulate: bool,
) -> None:
    """The gradient ``dx`` by the input of `avg_pool` from ``delta``, that by its output."""
    row, plane, _, origin = map_steps(din)
    out_row, out_plane, _, out_origin = map_steps(dout)
    for p in range(groups * din[0]):
        if not accumulate:
            _clear(din, dx, origin + p * plane, row)
        for i in range(dout[1]):
            top, bottom, high = _window(geometry, 0, i, din[1])
            for j in range(dout[2]):
                left, right, wide = _window(geometry, 1, j, din[2])
                corner = origin + p * plane + top * row + left * W
                part = load_vector(delta, out_origin + p * out_plane + i * out_row + j * W)
                part = div(part, splat(np.float32(high * wide)))
                for y in range(bottom - top):
                    for z in range(right - left):
                        at = corner + y * row + z * W
                        store(dx, at, add(load_vector(dx, at), part))


@kernel
def _tiles(din: Int64s, dout: Int64s, geometry: Int64s) -> bool:
    """Whether every pixel lies in exactly one window: nothing needs to be added up."""
    tiled = True
    for axis in range(2):
        reached = dout[1 + axis] * geometry[2 + axis] - geometry[4 + axis]
        tiled &= geometry[axis] == geometry[2 + axis] and reached >= din[1 + axis]
    return tiled


@kernel
def _clear(dims: Int64s, x: Values, origin: int, row: int) -> None:
    """Set a plane to 0 inside its border."""
    for y in range(dims[1]):
        for z in range(dims[2]):
            store(x, origin + y * row + z * W, splat(np.float32(0)))


_shape = (*[types.int64[::1]] * 3, types.int64)


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    return (
        EntryPoint(max_pool, (*_shape, maps, maps), kind),
        EntryPoint(max_pool_back, (*_shape, *[maps] * 4, types.boolean), kind),
        EntryPoint(avg_pool, (*_shape, maps, maps), kind),
        EntryPoint(avg_pool_back, (*_shape, maps, maps, types.boolean), kind),
    )


ENTRIES, ENTRIES_BF16 = for_both(_entries)
