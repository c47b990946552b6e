"""The arrays that kernels take: flat, contiguous; floats aligned and padded to whole vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.kernels.simd import W

Floats = NDArray[np.float32]
Halves = NDArray[np.uint16]  # bf16, see `winnow.kernels.bf16`
Values = NDArray[Any]  # either of the two
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

NO_FLOATS: Floats = np.empty(0, np.float32)
NO_HALVES: Halves = np.empty(0, np.uint16)
"""Arguments that a kernel does without."""


def padded(count: int) -> int:
    """``count`` rounded up to a multiple of W."""
    return -(-count // W) * W


def aligned(count: int, value: float) -> Floats:
    """``count`` float32, each ``value``, from the start of a cache line: no vector spans two."""
    array: Floats = _lines(4 * count).view(np.float32)
    array[:] = value
    return array


def aligned_halves(count: int) -> Halves:
    """``count`` zeros as bf16, from the start of a cache line."""
    array: Halves = _lines(2 * count).view(np.uint16)
    array[:] = 0
    return array


def _lines(size: int) -> NDArray[np.uint8]:
    """So many bytes from the start of a cache line."""
    line = 64
    whole = np.empty(size + line, np.uint8)
    begin = -whole.ctypes.data % line
    return whole[begin : begin + size]
