"""Bundles of vectors: the sums of all taps of a small kernel, kept in registers together.

A bundle is a numba tuple of equal vectors (`winnow.kernels.simd`). LLVM takes it apart:
nothing of it lies in memory while there are registers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

from winnow.kernels import llvm
from winnow.kernels.simd import W, operation


def _vectors(builder: Any, bundle: Any) -> list[Any]:
    return [builder.extract_value(bundle, i) for i in range(bundle.type.count)]


def _bundled(builder: Any, vectors: list[Any], kind: Any) -> Any:
    bundle = ir.Constant(kind, ir.Undefined)
    for i, vector in enumerate(vectors):
        bundle = builder.insert_value(bundle, vector, i)
    return bundle


@operation
def fma_taps(typing: Any, sums: Any, factor: Any, array: Any, index: Any, row: Any) -> Any:
    """sums + factor · the vectors of a square of k x k, for a bundle of k² ``sums``.

    Vector (i, j) of the square, bundled row by row, lies at array[index + i·row + j·W].
    """
    side = math.isqrt(len(sums))
    assert side * side == len(sums), "a square"

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        old, factor, array, index, row = args
        new = []
        for k, vector in enumerate(_vectors(builder, old)):
            below = builder.mul(row, ir.Constant(row.type, k // side))
            at = builder.add(builder.add(index, below), ir.Constant(row.type, k % side * W))
            where = llvm.emit_address(context, builder, signature.args[2], array, at)
            other = llvm.emit_read(builder, where, llvm.vector_type(W))
            new.append(llvm.emit_fma(builder, factor, other, vector))
        return _bundled(builder, new, old.type)

    return sums(sums, factor, array, types.intp, types.intp), generate


def _pairwise(compute: Callable[[Any, Any, Any], Any], about: str) -> Any:
    @operation
    def compute_bundle(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pairs = zip(_vectors(builder, args[0]), _vectors(builder, args[1]), strict=True)
            return _bundled(builder, [compute(builder, x, y) for x, y in pairs], args[0].type)

        return a(a, b), generate

    compute_bundle.__doc__ = about
    return compute_bundle


add_absolute = _pairwise(lambda b, x, y: b.fadd(x, llvm.emit_call(b, "fabs", [y])), "a + |b|")
add_square = _pairwise(lambda b, x, y: llvm.emit_fma(b, y, y, x), "a + b²")
