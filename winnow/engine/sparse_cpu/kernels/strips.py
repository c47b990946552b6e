"""Strips: a few rows of a map, computed when a product needs them and never stored whole.

Reading and writing what lies between two convolutions costs more than the arithmetic of sparse
weights. So a product can read an operand that is a function of what is stored, pixel by pixel:
max(y · scale + rest, 0), a batch norm and its ReLU; or, on the way back, delta · scale +
(y − mean) · slope + rest, the gradient by what comes into a batch norm. The rows that a few rows of
the product need are computed into scratch that stays in the second-level cache.

``strip``, int64 (9,), says which: see the names below. An empty one: the operand is stored.
``filled``: (value, other, mean, scale, slope, rest), the arrays of either function; ``other``,
``mean`` and ``slope`` are empty in the first. Scratch has the map's rows, borders included, plane
by plane; borders and what lies beyond the map are 0, as in a map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from winnow.engine.sparse_cpu.kernels.map_steps import map_steps
from winnow.kernels.arrays import Floats, Int64s, Values
from winnow.kernels.compile import kernel
from winnow.kernels.simd import (
    W,
    fma,
    load_vector,
    mul,
    relu,
    scalar,
    splat,
    store,
    sub,
)

# Rows of the product that a strip serves, and the step from one to the next in the map; how many
# rows of the map lie above the first; how many a strip has; the map; whether a ReLU follows.
ROWS, STEP, ABOVE, HEIGHT, CHANNELS, _MAP_HEIGHT, _MAP_WIDTH, BORDER, RECTIFY = range(9)

Filled = tuple[Values, Values, Floats, Floats, Floats, Floats]


def filled_type(maps: Any) -> Any:
    """The numba type of ``filled`` for this type of a map."""
    kind: Any = types.Tuple
    return kind((maps, maps, *[types.float32[::1]] * 4))


@kernel
def fill_strip(
    strip: Int64s,
    filled: Filled,
    present: Floats,
    last: bool,
    group: int,
    deep: int,
    top: int,
    count: int,
    scratch: Floats,
) -> None:
    """What ``count`` rows of a product from ``top`` on read, of ``deep`` groups from ``group`` on.

    ``last``: the last of these groups has elements without example, which become 0: ``present``.
    """
    value, other, mean, scale, slope, rest = filled
    row, plane, size, origin = map_steps(strip[CHANNELS : BORDER + 1])
    width, edge = strip[_MAP_WIDTH] * W, strip[BORDER] * W
    first = top * strip[STEP] - strip[ABOVE]
    used = strip[HEIGHT] - (strip[ROWS] - count) * strip[STEP]
    zero = splat(np.float32(0))
    keep = load_vector(present, 0)
    for d in range(deep):
        masks = last and d == deep - 1
        for c in range(strip[CHANNELS]):
            begin = (d * strip[CHANNELS] + c) * strip[HEIGHT] * row
            a, r = splat(scalar(scale, c)), splat(scalar(rest, c))
            for q in range(used):
                to = begin + q * row
                for k in range(to, to + edge, W):
                    store(scratch, k, zero)
                    store(scratch, k + edge + width, zero)
                to += edge
                i = first + q
                if i < 0 or i >= strip[_MAP_HEIGHT]:
                    for k in range(to, to + width, W):
                        store(scratch, k, zero)
                    continue
                at = origin + (group + d) * size + c * plane + i * row - to
                if other.size > 0:
                    m, b = splat(scalar(mean, c)), splat(scalar(slope, c))
                    for k in range(to, to + width, W):
                        v = fma(b, sub(load_vector(other, at + k), m), r)
                        store(scratch, k, fma(a, load_vector(value, at + k), v))
                elif strip[RECTIFY]:
                    for k in range(to, to + width, W):
                        store(scratch, k, relu(fma(load_vector(value, at + k), a, r)))
                else:
                    for k in range(to, to + width, W):
                        store(scratch, k, fma(load_vector(value, at + k), a, r))
                if masks:
                    for k in range(to, to + width, W):
                        store(scratch, k, mul(load_vector(scratch, k), keep))
