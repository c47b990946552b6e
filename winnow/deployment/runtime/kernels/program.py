"""Runs a program of kernels: all of it is one compiled call."""

from __future__ import annotations

from typing import Any

from numba import types

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
    SCALE,
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
from winnow.kernels.compile import EntryPoint, named_kernel
from winnow.kernels.simd import W


def _interpreter(name: str, multiply: Any, dots: Any) -> Any:
    """The kernel that runs programs, with weights of one kind."""

    @named_kernel(name)
    def run(
        code: Int64s,
        begin: int,
        end: int,
        first: int,
        tables: Int32s,
        weights: Any,
        numbers: Floats,
        arena: Floats,
        x: Floats,
        out: Floats,
    ) -> None:
        for i in range(begin, end):
            op = code[i * WIDTH : (i + 1) * WIDTH]
            what = op[OPERATION]
            if what == MULTIPLY:
                multiply(op, tables, weights, numbers, arena)
            elif what == DOTS:
                dots(op, tables, weights, numbers, arena)
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
            elif what == ADD:
                add_maps(op, arena)
            elif what == SCALE:
                scale_channels(op, tables, numbers, arena)
            elif what == PHASES:
                split_phases(op, arena)
            elif what == COPY:
                copy_channels(op, arena)

    return run


run_program = _interpreter("run_program", multiply_map, slice_dots)
"""The operations begin to end of a program, for L examples from number ``first`` on.

``weights``: float32. ``x``: what LOAD reads, ``out``: what STORE writes, (examples · features,).
See `winnow.deployment.runtime.kernels.code`.
"""

run_program_int8 = _interpreter("run_program_int8", multiply_map_int8, slice_dots_int8)
"""The same with weights of one byte and a scale for each row."""

_floats, _n = types.float32[::1], types.int64


def _entry(run: Any, weights: Any) -> EntryPoint:
    numbers = (types.int64[::1], _n, _n, _n, types.int32[::1])
    return EntryPoint(run, (*numbers, weights, _floats, _floats, _floats, _floats))


ENTRIES = (_entry(run_program, _floats),)
ENTRIES_INT8 = (_entry(run_program_int8, types.int8[::1]),)
