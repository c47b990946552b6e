"""Examples one after the other, into a program's arena and out of it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from winnow.deployment.runtime.kernels.code import (
    CHANNELS,
    FEATURES,
    LANES,
    OUT,
    OUT_PLANE,
    PLACES_AT,
    ROW_FLOATS,
    ROW_STEP,
    ROWS,
    X_PLANE,
    X,
)
from winnow.kernels import llvm
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import inlined, kernel
from winnow.kernels.simd import W, load_vector, operation, scalar, store
from winnow.kernels.transpose import interleaved


def _place(context: Any, builder: Any, kinds: Any, args: Any, element: int) -> Any:
    """Where feature ``first + element`` lies: base + places[first + element]."""
    array, base, places, first = args
    at = builder.add(first, ir.Constant(ir.IntType(64), element))
    place = builder.load(llvm.emit_address(context, builder, kinds[2], places, at))
    whole = builder.add(base, builder.sext(place, ir.IntType(64)))
    return llvm.emit_address(context, builder, kinds[0], array, whole)


def _row(context: Any, builder: Any, kind: Any, args: Any, j: int) -> Any:
    """Where example j begins: array[start + j·step]."""
    array, start, step = args
    at = builder.add(start, builder.mul(step, ir.Constant(ir.IntType(64), j)))
    return llvm.emit_address(context, builder, kind, array, at)


@operation
def transpose_in(
    typing: Any, arena: Any, base: Any, places: Any, first: Any, x: Any, start: Any, step: Any
) -> Any:
    """arena[base + places[first + i] + j] = x[start + j·step + i], for i and j below W."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        rows = [
            llvm.emit_read(
                builder,
                _row(context, builder, kinds[4], args[4:], j),
                llvm.vector_type(W),
            )
            for j in range(W)
        ]
        for i, row in enumerate(interleaved(builder, rows)):
            at = _place(context, builder, kinds, args[:4], i)
            builder.store(row, builder.bitcast(at, row.type.as_pointer())).align = 4
        return context.get_dummy_value()

    n = types.intp
    return types.void(arena, n, places, n, x, n, n), generate


@operation
def transpose_out(
    typing: Any, arena: Any, base: Any, places: Any, first: Any, x: Any, start: Any, step: Any
) -> Any:
    """x[start + j·step + i] = arena[base + places[first + i] + j], for i and j below W."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        rows = [
            llvm.emit_read(
                builder, _place(context, builder, kinds, args[:4], i), llvm.vector_type(W)
            )
            for i in range(W)
        ]
        for j, row in enumerate(interleaved(builder, rows)):
            at = _row(context, builder, kinds[4], args[4:], j)
            builder.store(row, builder.bitcast(at, row.type.as_pointer())).align = 4
        return context.get_dummy_value()

    n = types.intp
    return types.void(arena, n, places, n, x, n, n), generate


@inlined
def copy_row(source: Floats, at: int, target: Floats, to: int, count: int) -> None:
    """So many floats from a place to a place."""
    whole = count - count % W
    for f in range(0, whole, W):
        store(target, to + f, load_vector(source, at + f))
    for f in range(whole, count):
        target[to + f] = scalar(source, at + f)


@kernel
def read_examples(op: Int64s, first: int, tables: Int32s, arena: Floats, x: Floats) -> None:
    """L examples of x (N · features,) from number ``first`` on, to where the table says."""
    features, lanes, at, base = op[FEATURES], op[LANES], op[PLACES_AT], op[OUT]
    start = first * features
    if lanes == 1:
        for c in range(op[CHANNELS]):
            for row in range(op[ROWS]):
                to = base + c * op[OUT_PLANE] + row * op[ROW_STEP]
                copy_row(x, start, arena, to, op[ROW_FLOATS])
                start += op[ROW_FLOATS]
        return
    if features < W:
        for lane in range(lanes):
            for f in range(features):
                arena[base + scalar(tables, at + f) + lane] = scalar(x, start + f)
            start += features
        return
    for lane in range(0, lanes, W):
        f = 0
        while f < features:
            f = min(f, features - W)  # the last ones may be written twice
            transpose_in(arena, base + lane, tables, at + f, x, start + f, features)
            f += W
        start += W * features


@kernel
def store_examples(op: Int64s, first: int, tables: Int32s, arena: Floats, out: Floats) -> None:
    """The way out of `read_examples`."""
    features, lanes, at, base = op[FEATURES], op[LANES], op[PLACES_AT], op[X]
    start = first * features
    if lanes == 1:
        for c in range(op[CHANNELS]):
            for row in range(op[ROWS]):
                place = base + c * op[X_PLANE] + row * op[ROW_STEP]
                copy_row(arena, place, out, start, op[ROW_FLOATS])
                start += op[ROW_FLOATS]
        return
    if features < W:
        for lane in range(lanes):
            for f in range(features):
                out[start + f] = scalar(arena, base + scalar(tables, at + f) + lane)
            start += features
        return
    for lane in range(0, lanes, W):
        f = 0
        while f < features:
            f = min(f, features - W)
            transpose_out(arena, base + lane, tables, at + f, out, start + f, features)
            f += W
        start += W * features
