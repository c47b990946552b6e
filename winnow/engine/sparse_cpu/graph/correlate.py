"""Products of sparse weights with maps: convolutions, linear layers, and their gradients.

A product is a list of rows, one for each plane of the output; row r has the nonzeros start[r] to
start[r + 1], nonzero k the weight weight[k] and the place offset[k] in the input. For every group
g and pixel (i, j) of a grid (see `winnow.engine.sparse_cpu.kernels.grid`)

    out[at[r] + g·OUT_GROUP + i·OUT_ROW + j·OUT_PIXEL]
        = Σ_k weight[k] · x[offset[k] + g·IN_GROUP + i·IN_ROW + j·IN_PIXEL],

W examples each. Kernel size, stride and padding are in the offsets and the steps, see
`winnow.engine.sparse_cpu.graph.lists`. Where ``start`` has s·rows + 1 entries, the nonzeros lie in
s slabs, each with all rows: ranges of input planes of which a block's surroundings fit the
first-level cache. A block of the output goes through all slabs before the next block.
"""

from __future__ import annotations

import numpy as np

from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.kernels.block_gradient import DIFFERENTIATE
from winnow.engine.sparse_cpu.kernels.block_product import MULTIPLY
from winnow.kernels.arrays import NO_FLOATS, Floats, Int32s, Int64s
from winnow.kernels.simd import W

_EVERY = np.ones(W, np.float32)


def correlate(
    grid: Int64s,
    start: Int32s,
    offset: Int32s,
    weight: Floats,
    at: Int32s,
    bias: Floats,
    x: Floats,
    out: Floats,
    present: Floats,
    relu: bool,
    shift: Floats,
    sums: Floats,
) -> None:
    """The product, then bias, then maybe ReLU, to ``out``.

    ``bias``: (rows,) or empty. ``present``: (W,), positive where the last group has an example; its
    other elements become 0. ``shift`` and ``sums``, empty or (rows,) and (rows · 2 · W,): adds to
    sums[r, 0] the sum over pixels and groups of v − shift[r], and to sums[r, 1] that of its square,
    v what is stored, each element by itself and elements without example left out.
    """
    for shape, *region in regions(grid) if at.size else ():
        MULTIPLY[shape](
            tuple(region), grid, start, offset, weight, at, bias, x, out, present,
            relu, False, NO_FLOATS, NO_FLOATS, shift, sums,
        )  # fmt: skip


def correlate_back(
    grid: Int64s,
    start: Int32s,
    offset: Int32s,
    weight: Floats,
    at: Int32s,
    delta: Floats,
    out: Floats,
    accumulate: bool,
    gate: Floats,
    y: Floats,
    shift: Floats,
    sums: Floats,
) -> None:
    """The product with ``delta``; an input gradient where the lists are the backward ones.

    ``accumulate``: add to what is in ``out``. ``gate``: empty, or like ``out``: the result, what
    was accumulated with it, is 0 where the gate is not positive. ``y``, ``shift``, ``sums``: empty,
    or ``y`` like ``out``: adds to sums[r, 0] the sum of v, and to sums[r, 1] that of
    v·(y − shift[r]), v what is stored. Elements that are 0 in ``delta`` and ``out`` stay 0.
    """
    for shape, *region in regions(grid) if at.size else ():
        MULTIPLY[shape](
            tuple(region), grid, start, offset, weight, at, NO_FLOATS, delta, out, _EVERY,
            False, accumulate, gate, y, shift, sums,
        )  # fmt: skip


def weight_gradient(
    grid: Int64s,
    start: Int32s,
    offset: Int32s,
    at: Int32s,
    x: Floats,
    delta: Floats,
    partial: Floats,
    gradient: Floats,
    accumulate: bool = False,
) -> None:
    """The gradient of every nonzero, in the order of the lists. Overwrites ``gradient``.

    gradient[k] = Σ delta[at[r] + out steps] · x[offset[k] + in steps], k in row r, over the grid
    and all examples. ``accumulate``: add to what is there, from other groups of a batch.
    ``partial``: scratch, W floats for every nonzero of the largest slab (or more).
    """
    for i, (shape, *region) in enumerate(regions(grid) if at.size else ()):
        DIFFERENTIATE[shape](
            tuple(region), grid, start, offset, at, x, delta, partial, gradient, accumulate or i > 0
        )
