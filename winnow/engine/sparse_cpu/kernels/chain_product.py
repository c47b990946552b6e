"""Products with a sparse matrix, forward and back, of one tile of activations."""

from __future__ import annotations

import numpy as np

from winnow.kernels.arrays import Floats, Int32s
from winnow.kernels.compile import kernel
from winnow.kernels.simd import (
    TILE,
    add,
    fma,
    load_tile,
    relu,
    scalar,
    splat_tile,
    store,
    where_positive,
)


@kernel
def multiply_tile(
    slabs: int,
    outputs: int,
    start: Int32s,
    column: Int32s,
    weight: Floats,
    x: Floats,
    out: Floats,
    rectify: bool,
) -> None:
    """out = W x, then maybe ReLU. x (I + 1, TILE), out (O, TILE).

    Two nonzeros are in flight, each with four registers of sums: an addition takes four cycles.
    """
    zero = splat_tile(np.float32(0))
    for slab in range(slabs):
        for row in range(outputs):
            k = np.intp(scalar(start, slab * outputs + row))
            end = np.intp(scalar(start, slab * outputs + row + 1))
            a = zero if slab == 0 else load_tile(out, row * TILE)
            b = zero
            while k + 1 < end:
                a = fma(splat_tile(scalar(weight, k)), load_tile(x, scalar(column, k)), a)
                b = fma(splat_tile(scalar(weight, k + 1)), load_tile(x, scalar(column, k + 1)), b)
                k += 2
            if k < end:
                a = fma(splat_tile(scalar(weight, k)), load_tile(x, scalar(column, k)), a)
            a = add(a, b)
            if rectify and slab == slabs - 1:
                a = relu(a)
            store(out, row * TILE, a)


@kernel
def multiply_tile_back(
    inputs: int,
    start: Int32s,
    row: Int32s,
    place: Int32s,
    weight: Floats,
    delta: Floats,
    x: Floats,
    out: Floats,
    rectified: bool,
) -> None:
    """out = Wᵀ delta, and 0 where a rectified x was not positive. delta (O, TILE), x (I, TILE)."""
    zero = splat_tile(np.float32(0))
    for column in range(inputs):
        k = np.intp(scalar(start, column))
        end = np.intp(scalar(start, column + 1))
        a = zero
        b = zero
        while k + 1 < end:
            a = fma(
                splat_tile(scalar(weight, scalar(place, k))), load_tile(delta, scalar(row, k)), a
            )
            w = splat_tile(scalar(weight, scalar(place, k + 1)))
            b = fma(w, load_tile(delta, scalar(row, k + 1)), b)
            k += 2
        if k < end:
            a = fma(
                splat_tile(scalar(weight, scalar(place, k))), load_tile(delta, scalar(row, k)), a
            )
        a = add(a, b)
        if rectified:
            a = where_positive(a, load_tile(x, column * TILE))
        store(out, column * TILE, a)
