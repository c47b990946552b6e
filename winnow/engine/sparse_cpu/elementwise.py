"""What is done pixel by pixel, over whole buffers: borders and empty lanes hold 0 and keep it.

All arrays are of one size, a multiple of W. ``out`` may be one of the operands.
"""

from __future__ import annotations

from numba import types

from winnow.kernels import simd
from winnow.kernels.arrays import Floats
from winnow.kernels.cache import Entry, kernel
from winnow.kernels.simd import W, fma, load, mul, store, where_positive


@kernel
def add(a: Floats, b: Floats, out: Floats, rectify: bool) -> None:
    """out = a + b, then its ReLU if ``rectify``."""
    for k in range(0, out.size, W):
        total = simd.add(load(a, k), load(b, k))
        store(out, k, simd.relu(total) if rectify else total)


@kernel
def relu(x: Floats, out: Floats) -> None:
    """out = max(x, 0); NaN stays NaN."""
    for k in range(0, out.size, W):
        store(out, k, simd.relu(load(x, k)))


@kernel
def relu_back(y: Floats, delta: Floats, out: Floats, accumulate: bool) -> None:
    """out, or what is added to it: ``delta`` where y > 0, else 0; y: what the ReLU gave."""
    for k in range(0, out.size, W):
        passed = where_positive(load(delta, k), load(y, k))
        store(out, k, simd.add(load(out, k), passed) if accumulate else passed)


@kernel
def times(a: Floats, b: Floats, out: Floats, accumulate: bool) -> None:
    """out, or what is added to it: a · b. Dropout, forward and back: b holds 0 or 1 / (1 − p)."""
    for k in range(0, out.size, W):
        if accumulate:
            store(out, k, fma(load(a, k), load(b, k), load(out, k)))
        else:
            store(out, k, mul(load(a, k), load(b, k)))


_floats = types.float32[::1]
ENTRIES = (
    Entry(add, (_floats, _floats, _floats, types.boolean)),
    Entry(relu, (_floats, _floats)),
    Entry(relu_back, (_floats, _floats, _floats, types.boolean)),
    Entry(times, (_floats, _floats, _floats, types.boolean)),
)
