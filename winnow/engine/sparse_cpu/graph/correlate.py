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

from typing import NamedTuple

import numpy as np

from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.graph.strips import ProductInput
from winnow.engine.sparse_cpu.kernels.block_gradient import DIFFERENTIATE
from winnow.engine.sparse_cpu.kernels.block_product import MULTIPLY
from winnow.kernels.arrays import NO_FLOATS, Floats, Int32s, Int64s, Values
from winnow.kernels.simd import W

_EVERY = np.ones(W, np.float32)
_NO_GRID, _NO_LIST = np.zeros(9, np.int64), np.empty(0, np.int32)


class Gate(NamedTuple):
    """What follows a product with a gradient: see `correlate_back`."""

    stored: Values = NO_FLOATS
    y: Values = NO_FLOATS
    scale: Floats = NO_FLOATS
    offset: Floats = NO_FLOATS
    shift: Floats = NO_FLOATS
    sums: Floats = NO_FLOATS


_NO_GATE = Gate()


class Listed(NamedTuple):
    """The grid and the nonzeros of a product, as `correlate` takes them, and where its rows lie."""

    grid: Int64s
    start: Int32s
    offset: Int32s
    at: Int32s


def correlate(
    grid: Int64s,
    start: Int32s,
    offset: Int32s,
    weight: Floats,
    at: Int32s,
    bias: Floats,
    x: Floats | ProductInput,
    out: Values,
    present: Floats,
    relu: bool,
    shift: Floats,
    sums: Floats,
    streams: bool = False,
) -> None:
    """The product, then bias, then maybe ReLU, to ``out``.

    ``bias``: (rows,) or empty. ``present``: (W,), positive where the last group has an example; its
    other elements become 0. ``shift`` and ``sums``, empty or (rows,) and (rows · 2 · W,): adds to
    sums[r, 0] the sum over pixels and groups of v − shift[r], and to sums[r, 1] that of its square,
    v what is stored, each element by itself and elements without example left out. ``streams``:
    ``out`` is not read soon, and is aligned to vectors.
    """
    read, none = _product_input(x), out[:0]
    for shape, *region in regions(grid) if at.size else ():
        MULTIPLY[shape](
            tuple(region), grid, start, offset, weight, at, bias, *read, out, present,
            relu, False, streams, none, none, NO_FLOATS, NO_FLOATS, shift, sums,
        )  # fmt: skip


def correlate_back(
    grid: Int64s,
    start: Int32s,
    offset: Int32s,
    weight: Floats,
    at: Int32s,
    delta: Floats | ProductInput,
    out: Values,
    accumulate: bool,
    gate: Gate = _NO_GATE,
    present: Floats = _EVERY,
    streams: bool = False,
) -> None:
    """The product with ``delta``; an input gradient where the lists are the backward ones.

    ``accumulate``: add to what is in ``out``. The gate, each array empty or like ``out`` or
    (rows,): the result, what was accumulated with it, is 0 where ``gate.stored``, or else
    y · scale + offset, is not positive. ``shift``, ``sums``: adds to sums[r, 0] the sum of v, and
    to sums[r, 1] that of v·(y − shift[r]), v what is stored. Elements that are 0 in ``delta`` and
    ``out`` stay 0. ``present``, ``streams``: as for `correlate`; ``present`` is needed where
    ``delta`` is computed.
    """
    read = _product_input(delta)
    for shape, *region in regions(grid) if at.size else ():
        MULTIPLY[shape](
            tuple(region), grid, start, offset, weight, at, NO_FLOATS, *read, out, present,
            False, accumulate, streams, *gate,
        )  # fmt: skip


def weight_gradient(
    grid: Int64s,
    start: Int32s,
    offset: Int32s,
    at: Int32s,
    x: Floats | ProductInput,
    delta: Floats | ProductInput,
    partial: Floats,
    gradient: Floats,
    accumulate: bool = False,
    present: Floats = _EVERY,
) -> None:
    """The gradient of every nonzero, in the order of the lists. Overwrites ``gradient``.

    gradient[k] = Σ delta[at[r] + out steps] · x[offset[k] + in steps], k in row r, over the grid
    and all examples. ``accumulate``: add to what is there, from other groups of a batch.
    ``partial``: scratch, W floats for every nonzero of the largest slab (or more), or for every
    nonzero where an operand is computed.
    """
    x = _product_input(x)
    none = x.filled[0][:0]
    no_list = Listed(_NO_GRID, _NO_LIST, _NO_LIST, _NO_LIST)
    nothing = Back(no_list, NO_FLOATS, none, False, Gate(none, none))
    both_gradients(
        Listed(grid, start, offset, at), x, delta, partial, gradient, accumulate, nothing, present
    )


class Back(NamedTuple):
    """The product with delta: see `correlate_back`."""

    listed: Listed
    weight: Floats
    out: Values
    accumulate: bool
    gate: Gate = _NO_GATE
    streams: bool = False


def both_gradients(
    listed: Listed,
    x: Floats | ProductInput,
    delta: Floats | ProductInput,
    partial: Floats,
    gradient: Floats,
    accumulate: bool,
    back: Back,
    present: Floats,
) -> None:
    """`weight_gradient` and then `correlate_back`, strip by strip.

    An operand is computed, and the grid of the way back has as many rows and columns.
    """
    grid, start, offset, at = listed
    to, there = back.listed, (_product_input(x), _product_input(delta))
    for i, (shape, *region) in enumerate(regions(grid) if at.size else ()):
        DIFFERENTIATE[shape](
            tuple(region), present, grid, start, offset, at, *there[0], *there[1],
            partial, gradient, accumulate or i > 0,
            to.grid, to.start, to.offset, back.weight, to.at, back.out, back.accumulate,
            back.streams, *back.gate,
        )  # fmt: skip


def _product_input(given: Floats | ProductInput) -> ProductInput:
    return given if isinstance(given, ProductInput) else ProductInput(given)
