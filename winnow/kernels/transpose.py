"""W examples, one after the other, to one vector for each of their numbers."""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba.core import types

from winnow.kernels import llvm
from winnow.kernels.simd import W, operation


def interleaved(builder: Any, rows: list[Any]) -> list[Any]:
    """The transpose of W vectors of W elements, in log₂ W passes of pairwise interleaving."""
    half = W // 2
    low = [at for i in range(half) for at in (i, W + i)]
    high = [at + half for at in low]
    for _ in range(W.bit_length() - 1):
        pairs = list(zip(rows[:half], rows[half:], strict=True))
        rows = [llvm.emit_pick(builder, a, b, picks) for a, b in pairs for picks in (low, high)]
    return rows


@operation
def transpose_bytes(
    typing: Any,
    pixels: Any,
    starts: Any,
    first: Any,
    pixel: Any,
    scale: Any,
    shift: Any,
    out: Any,
    index: Any,
    stride: Any,
) -> Any:
    """Write W pixels of W images, times ``scale`` plus ``shift``, pixel by pixel.

    out[index + i·stride + j] = pixels[starts[first + j] + pixel + i] · scale[pixel + i]
    + shift[pixel + i], for i and j from 0 to W − 1. ``pixels`` are uint8, ``starts`` int64.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        word, integers = ir.IntType(64), ir.VectorType(ir.IntType(32), W)

        def address(argument: int, *offsets: Any) -> Any:
            index = functools.reduce(builder.add, offsets)
            return llvm.emit_address(context, builder, kinds[argument], args[argument], index)

        rows = []
        for j in range(W):
            start = builder.load(address(1, args[2], ir.Constant(word, j)))
            rows.append(
                llvm.emit_read(builder, address(0, start, args[3]), ir.VectorType(ir.IntType(8), W))
            )
        for i, row in enumerate(interleaved(builder, rows)):
            step = ir.Constant(word, i)
            scale = llvm.emit_splat(builder, builder.load(address(4, args[3], step)), W)
            shift = llvm.emit_splat(builder, builder.load(address(5, args[3], step)), W)
            value = builder.sitofp(builder.zext(row, integers), llvm.vector_type(W))
            at = address(6, args[7], builder.mul(args[8], step))
            at = builder.bitcast(at, llvm.vector_type(W).as_pointer())
            builder.store(llvm.emit_fma(builder, value, scale, shift), at).align = 4
        return context.get_dummy_value()

    n = types.intp
    return types.void(pixels, starts, n, n, scale, shift, out, n, n), generate


@operation
def transpose(
    typing: Any, x: Any, index: Any, step: Any, out: Any, places: Any, first: Any, base: Any
) -> Any:
    """Write W numbers of W examples, float32, number by number.

    out[base + places[first + i] + j] = x[index + j·step + i], for i and j from 0 to W − 1.
    ``places`` are int64.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, index, step, out, places, first, base = args
        kinds, word = signature.args, ir.IntType(64)
        rows = []
        for j in range(W):
            at = builder.add(index, builder.mul(step, ir.Constant(word, j)))
            start = llvm.emit_address(context, builder, kinds[0], x, at)
            rows.append(llvm.emit_read(builder, start, llvm.vector_type(W)))
        for i, row in enumerate(interleaved(builder, rows)):
            which = builder.add(first, ir.Constant(word, i))
            place = builder.load(llvm.emit_address(context, builder, kinds[4], places, which))
            at = llvm.emit_address(context, builder, kinds[3], out, builder.add(base, place))
            builder.store(row, builder.bitcast(at, llvm.vector_type(W).as_pointer())).align = 4
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, out, places, n, n), generate
