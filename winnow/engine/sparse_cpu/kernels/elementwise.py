"""What is done pixel by pixel, over whole buffers: borders and empty elements hold 0 and keep it.

All arrays are of one size, a multiple of W. ``out`` may be one of the operands.
"""

from __future__ import annotations

from typing import Any

from numba import types

from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.kernels.arrays import Floats, Values
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W, add, fma, load_vector, mul, relu, store, where_positive


@kernel
def add_arrays(a: Values, b: Values, out: Values, rectify: bool) -> None:
    """out = a + b, then its ReLU if ``rectify``."""
    for k in range(0, out.size, W):
        total = add(load_vector(a, k), load_vector(b, k))
        store(out, k, relu(total) if rectify else total)


@kernel
def relu_back(y: Values, delta: Values, out: Values, accumulate: bool) -> None:
    """out, or what is added to it: ``delta`` where y > 0, else 0; y: what the ReLU gave."""
    for k in range(0, out.size, W):
        passed = where_positive(load_vector(delta, k), load_vector(y, k))
        store(out, k, add(load_vector(out, k), passed) if accumulate else passed)


@kernel
def times(a: Values, b: Floats, out: Values, accumulate: bool) -> None:
    """out, or what is added to it: a · b. Dropout, forward and back: b holds 0 or 1 / (1 − p)."""
    for k in range(0, out.size, W):
        if accumulate:
            store(out, k, fma(load_vector(a, k), load_vector(b, k), load_vector(out, k)))
        else:
            store(out, k, mul(load_vector(a, k), load_vector(b, k)))


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    return (
        EntryPoint(add_arrays, (maps, maps, maps, types.boolean), kind),
        EntryPoint(relu_back, (maps, maps, maps, types.boolean), kind),
        EntryPoint(times, (maps, types.float32[::1], maps, types.boolean), kind),
    )


ENTRIES, ENTRIES_BF16 = for_both(_entries)
