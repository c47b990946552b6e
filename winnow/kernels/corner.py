"""Gradients of a dense corner of a weight, 2 rows by 2 W columns at once, without a reduction.

`winnow.kernels.simd.dots` reads activations feature by feature and adds W sums up by shuffling.
Where columns follow each other, activations can be turned once for all rows, example by example:
then a vector holds the sums of W columns. They are added in the very order of `dots`, so that the
bits are those that it gives.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from winnow.kernels import llvm
from winnow.kernels.simd import TILE, Vector, W, operation
from winnow.kernels.transpose import interleaved

ROWS, COLUMNS = 2, 2 * W
CORNER = TILE * COLUMNS  # the floats of the activations that `turn` writes

_word = ir.IntType(64)
_tuple: Any = types.UniTuple


@operation
def turn(typing: Any, x: Any, at: Any, out: Any) -> Any:
    """turn(x, at, out): out[e · 2 W + c] = x[at + c · TILE + e], for examples e and columns c."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = llvm.emit_address(context, builder, signature.args[0], args[0], args[1])
        out = llvm.emit_address(context, builder, signature.args[2], args[2], _at(0))
        for column in range(0, COLUMNS, W):
            for example in range(0, TILE, W):
                rows = [_read(builder, source, (column + i) * TILE + example) for i in range(W)]
                for i, vector in enumerate(interleaved(builder, rows)):
                    place = builder.gep(out, [_at((example + i) * COLUMNS + column)])
                    where = builder.bitcast(place, vector.type.as_pointer())
                    builder.store(vector, where).align = 4
        return context.get_dummy_value()

    return types.void(x, types.intp, out), generate


@operation
def corner_dots(typing: Any, turned: Any, delta: Any, at: Any) -> Any:
    """The gradients of rows 0 and 1 by columns 0 to W − 1 and W to 2 W − 1: a bundle of 4 vectors.

    ``turned`` (TILE, 2 W) is what `turn` wrote; row r of ``delta`` lies at [at + r · TILE :].
    """
    bundle = _tuple(Vector(W), ROWS * 2)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x = llvm.emit_address(context, builder, signature.args[0], args[0], _at(0))
        d = llvm.emit_address(context, builder, signature.args[1], args[1], args[2])

        def lane(first: int) -> list[Any]:
            """What `fold_dot` has in one lane: the products of the examples first, first + W, …"""
            sums: list[Any] = []
            for example in range(first, TILE, W):
                columns = [_read(builder, x, example * COLUMNS + c) for c in (0, W)]
                factors = [
                    llvm.emit_splat(builder, builder.load(builder.gep(d, [_at(at)])), W)
                    for at in (example, TILE + example)
                ]
                pairs = [(f, c) for f in factors for c in columns]
                if not sums:
                    sums = [builder.fmul(c, f) for f, c in pairs]
                else:
                    sums = [
                        llvm.emit_fma(builder, c, f, s)
                        for (f, c), s in zip(pairs, sums, strict=True)
                    ]
            return sums

        def added(a: list[Any], b: list[Any]) -> list[Any]:
            return [builder.fadd(p, q) for p, q in zip(a, b, strict=True)]

        def four(at: int) -> list[Any]:
            """Four lanes as `emit_halve` adds them: those two apart first."""
            return added(added(lane(at), lane(at + 2)), added(lane(at + 1), lane(at + 3)))

        def tree(at: int, lanes: int) -> list[Any]:
            """So many lanes, from lane ``at``."""
            half = lanes // 2
            return four(at) if lanes == 4 else added(tree(at, half), tree(at + half, half))

        result = ir.Constant(context.get_value_type(bundle), ir.Undefined)
        for i, vector in enumerate(tree(0, W)):
            result = builder.insert_value(result, vector, i)
        return result

    return bundle(turned, delta, types.intp), generate


def _at(value: int) -> Any:
    return ir.Constant(_word, value)


def _read(builder: Any, start: Any, offset: int) -> Any:
    return llvm.emit_read(builder, builder.gep(start, [_at(offset)]), llvm.vector_type(W))
