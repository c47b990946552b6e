"""Products with a sparse matrix, forward and back, of one tile of activations."""

from __future__ import annotations

import numpy as np

from winnow.kernels.arrays import Floats, Integers
from winnow.kernels.cache import kernel
from winnow.kernels.simd import (
    TILE,
    add,
    fma,
    load_tile,
    read,
    relu,
    splat_tile,
    store,
    where_positive,
)


@kernel
def multiply(
    slabs: int,
    outputs: int,
    start: Integers,
    column: Integers,
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
            k = np.intp(read(start, slab * outputs + row))
            end = np.intp(read(start, slab * outputs + row + 1))
            a = zero if slab == 0 else load_tile(out, row * TILE)
            b = zero
            while k + 1 < end:
                a = fma(splat_tile(read(weight, k)), load_tile(x, read(column, k)), a)
                b = fma(splat_tile(read(weight, k + 1)), load_tile(x, read(column, k + 1)), b)
                k += 2
            if k < end:
                a = fma(splat_tile(read(weight, k)), load_tile(x, read(column, k)), a)
            a = add(a, b)
            if rectify and slab == slabs - 1:
                a = relu(a)
            store(out, row * TILE, a)


@kernel
def multiply_back(
    inputs: int,
    start: Integers,
    row: Integers,
    place: Integers,
    weight: Floats,
    delta: Floats,
    x: Floats,
    out: Floats,
    rectified: bool,
) -> None:
    """out = Wᵀ delta, and 0 where a rectified x was not positive. delta (O, TILE), x (I, TILE)."""
    zero = splat_tile(np.float32(0))
    for column in range(inputs):
        k = np.intp(read(start, column))
        end = np.intp(read(start, column + 1))
        a = zero
        b = zero
        while k + 1 < end:
            a = fma(splat_tile(read(weight, read(place, k))), load_tile(delta, read(row, k)), a)
            w = splat_tile(read(weight, read(place, k + 1)))
            b = fma(w, load_tile(delta, read(row, k + 1)), b)
            k += 2
        if k < end:
            a = fma(splat_tile(read(weight, read(place, k))), load_tile(delta, read(row, k)), a)
        a = add(a, b)
        if rectified:
            a = where_positive(a, load_tile(x, column * TILE))
        store(out, column * TILE, a)
