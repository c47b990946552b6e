"""The squared norm of an array."""

from __future__ import annotations

import numpy as np
from numba import types

from winnow.kernels.arrays import Floats
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import TILE, W, fma, load_tile, load_vector, splat, splat_tile, total


@kernel
def squares(array: Floats, count: int) -> float:
    """The sum of squares, not finite if an entry is not; ``count`` is a multiple of W."""
    sums = splat(np.float32(0))
    for k in range(0, count, W):
        value = load_vector(array, k)
        sums = fma(value, value, sums)
    return np.float64(total(sums))


@kernel
def squares_of_tiles(array: Floats, count: int) -> float:
    """`squares` of ``count`` tiles, in four sums at once: their last bits differ."""
    sums = splat_tile(np.float32(0))
    for k in range(count):
        value = load_tile(array, k * TILE)
        sums = fma(value, value, sums)
    return np.float64(total(sums))


ENTRIES = (EntryPoint(squares, (types.float32[::1], types.int64)),)
