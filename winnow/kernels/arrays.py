"""The arrays that kernels take: flat, contiguous; floats aligned and padded to whole vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from winnow.kernels.simd import W

Floats = NDArray[np.float32]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

NO_FLOATS: Floats = np.empty(0, np.float32)
"""An argument that a kernel does without."""


def padded(count: int) -> int:
    """``count`` rounded up to a multiple of W."""
    return -(-count // W) * W


def aligned(count: int, value: float) -> Floats:
    """``count`` float32, each ``value``, from the start of a cache line: no vector spans two."""
    line = 64
    whole = np.empty(4 * count + line, np.uint8)
    begin = -whole.ctypes.data % line
    array = whole[begin : begin + 4 * count].view(np.float32)
    array[:] = value
    return array
