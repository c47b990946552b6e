"""Runs a program of kernels: all of it is one compiled call."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from winnow.deployment.runtime.kernels.borders import read_examples, store_examples
from winnow.deployment.runtime.kernels.code import (
    ADD,
    COPY,
    DOTS,
    LANES,
    LOAD,
    MEAN,
    MULTIPLY,
    OPERATION,
    PHASES,
    POOL,
    RECTIFY,
    SCALE,
    SCALE_AT,
    STORE,
    WIDTH,
)
from winnow.deployment.runtime.kernels.dots import slice_dots, slice_dots_int8
from winnow.deployment.runtime.kernels.maps import (
    add_maps,
    copy_channels,
    mean_of_pixels,
    pool_lanes,
    pool_single,
    scale_channels,
    split_phases,
)
from winnow.deployment.runtime.kernels.product import multiply_map, multiply_map_int8
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W


@kernel
def run_program(
    code: Int64s,
    begin: int,
    end: int,
    first: int,
    tables: Int32s,
    weights: Floats,
    small: NDArray[np.int8],
    numbers: Floats,
    arena: Floats,
    x: Floats,
    out: Floats,
) -> None:
    """The operations begin to end of a program, for L examples from number ``first`` on.

    ``x``: what LOAD reads, ``out``: what STORE writes, (examples · features,). See
    `winnow.deployment.runtime.kernels.code`.
    """
    for i in range(begin, end):
        op = code[i * WIDTH : (i + 1) * WIDTH]
        what = op[OPERATION]
        if what == MULTIPLY:
            if op[SCALE_AT] >= 0:
                multiply_map_int8(op, tables, small, numbers, arena)
            else:
                multiply_map(op, tables, weights, numbers, arena)
        elif what == DOTS:
            if op[SCALE_AT] >= 0:
                slice_dots_int8(op, tables, small, numbers, arena)
            else:
                slice_dots(op, tables, weights, numbers, arena)
        elif what == LOAD:
            read_examples(op, first, tables, arena, x)
        elif what == STORE:
            store_examples(op, first, tables, arena, out)
        elif what == POOL:
            if op[LANES] < W:
                pool_single(op, arena)
            else:
                pool_lanes(op, arena)
        elif what == MEAN:
            mean_of_pixels(op, arena)
        elif what in (ADD, RECTIFY):
            add_maps(op, arena)
        elif what == SCALE:
            scale_channels(op, tables, numbers, arena)
        elif what == PHASES:
            split_phases(op, arena)
        elif what == COPY:
            copy_channels(op, arena)


_floats, _n = types.float32[::1], types.int64
ENTRIES = (
    EntryPoint(
        run_program,
        (
            *(types.int64[::1], _n, _n, _n, types.int32[::1], _floats),
            *(types.int8[::1], _floats, _floats, _floats, _floats),
        ),
    ),
)
