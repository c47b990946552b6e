"""The gradient of the nonzeros: (delta xᵀ) at their places alone, W of them at a time.

Where W nonzeros of one row follow each other, their dot products stay in registers. Elsewhere the
partial sums of W nonzeros gather in a scratch block first. Either way one vector of W gradients
comes out, and can be used for the update at once, without a trip through memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from winnow.engine.sparse_cpu.kernels.chain_network import ChainNetwork
from winnow.engine.sparse_cpu.kernels.update import update_vector
from winnow.kernels.arrays import Floats, Int32s
from winnow.kernels.compile import kernel
from winnow.kernels.simd import (
    TILE,
    W,
    add,
    dots,
    fold_dot,
    load_tile,
    load_vector,
    reduce_rows,
    scalar,
    splat,
    store,
)


@kernel
def use_gradient(
    net: ChainNetwork, k: int, g: Any, accumulate: bool, fuse: bool, rule: int, step: Floats
) -> None:
    """Use the gradient of the weights k to k + W − 1: add what other tiles gave, update or keep."""
    if accumulate:
        g = add(g, load_vector(net.gradient, k))
    if fuse:
        update_vector(rule, step, net, k, g)
    else:
        store(net.gradient, k, g)


@kernel
def tile_gradient(
    net: ChainNetwork,
    slabs: int,
    outputs: int,
    start: Int32s,
    column: Int32s,
    begin: int,
    delta: Floats,
    x: Floats,
    accumulate: bool,
    fuse: bool,
    rule: int,
    step: Floats,
) -> None:
    """The gradient of one layer's nonzeros, from one tile. delta (O, TILE), x (I + 1, TILE).

    ``begin``: where the layer's nonzeros begin in ``net``. The padding's gradient is 0.
    """
    k = 0
    for slab in range(slabs):
        for row in range(outputs):
            end = int(scalar(start, slab * outputs + row + 1))
            if k == end:
                continue
            d = load_tile(delta, row * TILE)
            while k < end:
                place = k & (W - 1)
                if place == 0 and end - k >= W:
                    use_gradient(
                        net, begin + k, dots(x, column, k, d), accumulate, fuse, rule, step
                    )
                    k += W
                    continue
                stop = min(end, k - place + W)
                while k < stop:
                    part = fold_dot(d, load_tile(x, scalar(column, k)))
                    store(net.scratch, (k & (W - 1)) * W, part)
                    k += 1
                if (k & (W - 1)) == 0:
                    g = reduce_rows(net.scratch, 0)
                    use_gradient(net, begin + k - W, g, accumulate, fuse, rule, step)
    place = k & (W - 1)
    if place != 0:
        for i in range(place, W):
            store(net.scratch, i * W, splat(np.float32(0)))
        g = reduce_rows(net.scratch, 0)
        use_gradient(net, begin + k - place, g, accumulate, fuse, rule, step)
