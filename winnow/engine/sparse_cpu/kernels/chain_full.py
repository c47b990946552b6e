"""Layers of which every weight is there: no column is looked up, and rows go two at a time.

The sums run in the order that the kernels for sparse layers have, so the bits are theirs too; what
is saved is memory traffic. The lists of a full layer are those of any other.
"""

from __future__ import annotations

import numpy as np

from winnow.engine.sparse_cpu.kernels.chain_network import ChainNetwork
from winnow.engine.sparse_cpu.kernels.update import update_vector
from winnow.kernels.arrays import Floats, Int32s
from winnow.kernels.compile import kernel
from winnow.kernels.corner import COLUMNS, corner_dots, turn
from winnow.kernels.simd import (
    TILE,
    W,
    add,
    fma,
    fold_dot,
    load_tile,
    load_vector,
    reduce_rows,
    relu,
    scalar,
    splat_tile,
    store,
    where_positive,
)


@kernel
def multiply_full(
    slabs: int,
    outputs: int,
    start: Int32s,
    column: Int32s,
    weight: Floats,
    x: Floats,
    out: Floats,
    rectify: bool,
) -> None:
    """`multiply_tile` for a full layer of at least two outputs."""
    zero = splat_tile(np.float32(0))
    for slab in range(slabs):
        first = int(scalar(start, slab * outputs))
        count = int(scalar(start, slab * outputs + 1)) - first
        begin = int(scalar(column, first))
        last = rectify and slab == slabs - 1
        for row in range(0, outputs - 1, 2):
            k, m = first + row * count, first + (row + 1) * count
            a = zero if slab == 0 else load_tile(out, row * TILE)
            c = zero if slab == 0 else load_tile(out, (row + 1) * TILE)
            b, d = zero, zero
            for j in range(0, count - 1, 2):
                features = load_tile(x, begin + j * TILE)
                a = fma(splat_tile(scalar(weight, k + j)), features, a)
                c = fma(splat_tile(scalar(weight, m + j)), features, c)
                features = load_tile(x, begin + (j + 1) * TILE)
                b = fma(splat_tile(scalar(weight, k + j + 1)), features, b)
                d = fma(splat_tile(scalar(weight, m + j + 1)), features, d)
            if count % 2 == 1:
                features = load_tile(x, begin + (count - 1) * TILE)
                a = fma(splat_tile(scalar(weight, k + count - 1)), features, a)
                c = fma(splat_tile(scalar(weight, m + count - 1)), features, c)
            a, c = add(a, b), add(c, d)
            store(out, row * TILE, relu(a) if last else a)
            store(out, (row + 1) * TILE, relu(c) if last else c)
        if outputs % 2 == 1:
            row = outputs - 1
            k = first + row * count
            a = zero if slab == 0 else load_tile(out, row * TILE)
            b = zero
            for j in range(0, count - 1, 2):
                a = fma(splat_tile(scalar(weight, k + j)), load_tile(x, begin + j * TILE), a)
                features = load_tile(x, begin + (j + 1) * TILE)
                b = fma(splat_tile(scalar(weight, k + j + 1)), features, b)
            if count % 2 == 1:
                features = load_tile(x, begin + (count - 1) * TILE)
                a = fma(splat_tile(scalar(weight, k + count - 1)), features, a)
            a = add(a, b)
            store(out, row * TILE, relu(a) if last else a)


@kernel
def multiply_full_back(
    inputs: int,
    outputs: int,
    place: Int32s,
    weight: Floats,
    delta: Floats,
    x: Floats,
    out: Floats,
    rectified: bool,
) -> None:
    """`multiply_tile_back` for a full layer: two columns at a time, the last two maybe again."""
    zero = splat_tile(np.float32(0))
    for pair in range((inputs + 1) // 2):
        left = max(min(2 * pair, inputs - 2), 0)
        right = min(left + 1, inputs - 1)
        k, m = left * outputs, right * outputs
        a, b, c, d = zero, zero, zero, zero
        for row in range(0, outputs - 1, 2):
            errors = load_tile(delta, row * TILE)
            a = fma(splat_tile(scalar(weight, scalar(place, k + row))), errors, a)
            c = fma(splat_tile(scalar(weight, scalar(place, m + row))), errors, c)
            errors = load_tile(delta, (row + 1) * TILE)
            b = fma(splat_tile(scalar(weight, scalar(place, k + row + 1))), errors, b)
            d = fma(splat_tile(scalar(weight, scalar(place, m + row + 1))), errors, d)
        if outputs % 2 == 1:
            errors = load_tile(delta, (outputs - 1) * TILE)
            a = fma(splat_tile(scalar(weight, scalar(place, k + outputs - 1))), errors, a)
            c = fma(splat_tile(scalar(weight, scalar(place, m + outputs - 1))), errors, c)
        a, c = add(a, b), add(c, d)
        if rectified:
            a = where_positive(a, load_tile(x, left * TILE))
            c = where_positive(c, load_tile(x, right * TILE))
        store(out, left * TILE, a)
        store(out, right * TILE, c)


@kernel
def full_gradient(
    net: ChainNetwork,
    slabs: int,
    outputs: int,
    start: Int32s,
    column: Int32s,
    begin: int,
    delta: Floats,
    x: Floats,
    fuse: bool,
    rule: int,
    step: Floats,
) -> None:
    """`tile_gradient` for a full layer of at least two outputs, of a batch of one tile."""
    updated = 0
    for slab in range(slabs):
        first = int(scalar(start, slab * outputs))
        count = int(scalar(start, slab * outputs + 1)) - first
        at = int(scalar(column, first))
        # What is updated at once needs no place of its own: its gradient stays near the processor.
        place = begin + first - updated
        whole = count // COLUMNS * COLUMNS
        for j in range(0, whole, COLUMNS):
            turn(x, at + j * TILE, net.scratch)
            for pair in range((outputs + 1) // 2):
                row = min(2 * pair, outputs - 2)  # an odd last row goes with the one before, again
                k = place + row * count + j
                a, b, c, d = corner_dots(net.scratch, delta, row * TILE)
                store(net.gradient, k, a)
                store(net.gradient, k + W, b)
                store(net.gradient, k + count, c)
                store(net.gradient, k + count + W, d)
        for j in range(whole, count):
            _column_gradient(net, outputs, count, place + j, delta, x, at + j * TILE)
        if fuse:
            end = first + outputs * count
            updated = _update_until(net, begin, updated, end, slab == slabs - 1, rule, step)


@kernel
def _update_until(
    net: ChainNetwork, begin: int, updated: int, end: int, last: bool, rule: int, step: Floats
) -> int:
    """Update a layer's weights ``updated`` to ``end``, whose gradients lie from ``begin`` on.

    Whole vectors: what is left over waits for the next slab, its gradient at ``begin``; after the
    last slab the padding goes along, with a gradient of 0. Returns how far it came.
    """
    count = end - updated
    if last:
        for k in range(count, (count + W - 1) // W * W):
            net.gradient[begin + k] = np.float32(0)
        count = (count + W - 1) // W * W
    count = count // W * W
    for k in range(0, count, W):
        update_vector(rule, step, net, begin + updated + k, load_vector(net.gradient, begin + k))
    if not last:
        for k in range(end - updated - count):
            net.gradient[begin + k] = net.gradient[begin + count + k]
    return updated + count


@kernel
def _column_gradient(
    net: ChainNetwork, outputs: int, count: int, k: int, delta: Floats, x: Floats, at: int
) -> None:
    """The gradient of one column, whose weights are ``count`` apart, from the one at ``k``."""
    features = load_tile(x, at)
    for row in range(0, outputs, W):
        some = min(W, outputs - row)
        for i in range(some):
            store(net.scratch, i * W, fold_dot(load_tile(delta, (row + i) * TILE), features))
        store(net.scratch, W * W, reduce_rows(net.scratch, 0))
        for i in range(some):
            net.gradient[k + (row + i) * count] = net.scratch[W * W + i]
