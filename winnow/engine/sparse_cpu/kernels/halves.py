"""Between float32 and bf16, whole arrays: see `winnow.kernels.bf16`. Sizes are multiples of W."""

from __future__ import annotations

from numba import types

from winnow.kernels.arrays import Floats, Halves
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W, load_vector, store


@kernel
def widen(halves: Halves, out: Floats) -> None:
    """out = halves, exactly."""
    for k in range(0, out.size, W):
        store(out, k, load_vector(halves, k))


@kernel
def narrow(values: Floats, out: Halves) -> None:
    """out = values, rounded to the nearest."""
    for k in range(0, out.size, W):
        store(out, k, load_vector(values, k))


_floats, _halves = types.float32[::1], types.uint16[::1]
ENTRIES_BF16 = (EntryPoint(widen, (_halves, _floats)), EntryPoint(narrow, (_floats, _halves)))
