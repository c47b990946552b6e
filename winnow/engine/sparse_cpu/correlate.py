"""Products of sparse weights with maps: convolutions, linear layers, and their input gradients.

A product is a list of rows, one for each plane of the output; row r has the nonzeros start[r] to
start[r + 1], nonzero k the weight weight[k] and the place offset[k] in the input. For every group
g and pixel (i, j) of a grid (see `winnow.engine.sparse_cpu.cover`)

    out[at[r] + g·OUT_GROUP + i·OUT_ROW + j·OUT_PIXEL]
        = Σ_k weight[k] · x[offset[k] + g·IN_GROUP + i·IN_ROW + j·IN_PIXEL],

W lanes each. Kernel size, stride and padding are in the offsets and the steps, see
`winnow.engine.sparse_cpu.lists`. Where ``start`` has s·rows + 1 entries, the nonzeros lie in s
slabs, each with all rows: ranges of input planes of which a block's surroundings fit the
first-level cache. A block of the output goes through all slabs before the next block.
"""

from __future__ import annotations

import numpy as np

from winnow.engine.sparse_cpu.block_product import ENTRIES, MULTIPLY
from winnow.engine.sparse_cpu.cover import Numbers, regions
from winnow.kernels.arrays import Floats, Integers
from winnow.kernels.simd import W

__all__ = ["ENTRIES", "NONE", "correlate", "correlate_back"]

NONE = np.empty(0, np.float32)  # for an array that is left out
_EVERY = np.ones(W, np.float32)


def correlate(
    grid: Numbers,
    start: Integers,
    offset: Integers,
    weight: Floats,
    at: Integers,
    bias: Floats,
    x: Floats,
    out: Floats,
    lanes: Floats,
    relu: bool,
    shift: Floats,
    sums: Floats,
) -> None:
    """The product, then bias, then maybe ReLU, to ``out``.

    ``bias``: (rows,) or empty. ``lanes``: (W,), positive where the last group has an example; its
    other lanes become 0. ``shift`` and ``sums``, empty or (rows,) and (rows · 2 · W,): adds to
    sums[r, 0] the sum over pixels and groups of v − shift[r], and to sums[r, 1] that of its square,
    v what is stored, each lane by itself and lanes without example left out.
    """
    for shape, *region in regions(grid) if at.size else ():
        MULTIPLY[shape](
            tuple(region), grid, start, offset, weight, at, bias, x, out, lanes,
            relu, False, NONE, NONE, shift, sums,
        )  # fmt: skip


def correlate_back(
    grid: Numbers,
    start: Integers,
    offset: Integers,
    weight: Floats,
    at: Integers,
    delta: Floats,
    out: Floats,
    accumulate: bool,
    gate: Floats,
    y: Floats,
    shift: Floats,
    sums: Floats,
) -> None:
    """The product with ``delta``; an input gradient where the lists are the backward ones.

    ``accumulate``: add what stands in ``out``. ``gate``: empty, or like ``out``: the result, what
    was accumulated with it, is 0 where the gate is not positive. ``y``, ``shift``, ``sums``: empty,
    or ``y`` like ``out``: adds to sums[r, 0] the sum of v, and to sums[r, 1] that of
    v·(y − shift[r]), v what is stored. Lanes that are 0 in ``delta`` and ``out`` stay 0.
    """
    for shape, *region in regions(grid) if at.size else ():
        MULTIPLY[shape](
            tuple(region), grid, start, offset, weight, at, NONE, delta, out, _EVERY,
            False, accumulate, gate, y, shift, sums,
        )  # fmt: skip
