"""A small vector type for numba: float32 vectors that LLVM keeps in registers.

Two widths serve all kernels. A vector of ``W`` elements fills one register of this machine. A tile
of ``TILE`` = 4 W elements fills four, which LLVM splits by itself: kernels hold four independent
sums without being unrolled by hand. Every operation but the loads takes its width from its
operands.

All functions here are numba intrinsics: they can be called from compiled code only. Loads and
stores need no alignment and check no bounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from winnow.errors import UserError
from winnow.kernels import llvm
from winnow.kernels.bf16 import emit_narrow, emit_widen

WIDTHS = (4, 8, 16)  # float32 elements of NEON and SSE, AVX2, AVX-512


def vector_width(features: Mapping[str, bool], asked: str | None = None) -> int:
    """Float32 elements of a vector register of a processor with these LLVM ``features``.

    ``asked`` forces another number of ``WIDTHS``, as $WINNOW_SIMD_LANES does: a narrower one runs
    anywhere, with the results of a machine that has no more. UserError for any other value.
    """
    if asked:
        if asked not in map(str, WIDTHS):
            raise UserError(f"WINNOW_SIMD_LANES={asked!r} must be one of 4, 8, 16, or not set")
        return int(asked)
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") and features.get("fma") else 4


W = vector_width(binding.get_host_cpu_features(), os.environ.get("WINNOW_SIMD_LANES"))
TILE = 4 * W

_i32 = ir.IntType(32)


def operation(function: Any) -> Any:
    """numba's ``intrinsic``, whose own types would have callers pass the typing context."""
    return intrinsic(function)


class Vector(types.Type):
    """The numba type of ``width`` float32 in registers."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"f32x{width}")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, llvm.vector_type(kind.width))  # type: ignore[no-untyped-call]


# ---- memory


def _loader(count: int) -> Any:
    @operation
    def load_vector_of(typing: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at = llvm.emit_address(context, builder, signature.args[0], *args)
            return llvm.emit_read(builder, at, llvm.vector_type(count))

        return Vector(count)(array, types.intp), generate

    return load_vector_of


load_vector = _loader(W)  # load_vector(array float32 or bf16, index) -> vector of W elements
load_tile = _loader(TILE)  # the same with TILE elements


@operation
def scalar(typing: Any, array: Any, index: Any) -> Any:
    """scalar(array, index): array[index], without numba's look at the sign of the index.

    Of bf16, its value as float32.
    """
    halves = array.dtype == types.uint16

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(llvm.emit_address(context, builder, signature.args[0], *args))
        return emit_widen(builder, value) if halves else value

    return (types.float32 if halves else array.dtype)(array, types.intp), generate


@operation
def put(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """put(array float32 or bf16, index, value float32): array[index] = value."""
    halves = array.dtype == types.uint16

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = llvm.emit_address(context, builder, signature.args[0], args[0], args[1])
        builder.store(emit_narrow(builder, args[2]) if halves else args[2], at)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.float32), generate


@operation
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """store(array float32 or bf16, index, vector)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = llvm.emit_address(context, builder, signature.args[0], args[0], args[1])
        llvm.emit_store(builder, args[2], at, past_caches=False)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@operation
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """prefetch(array, index): ask for the cache line of array[index]; changes no result."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = llvm.emit_address(context, builder, signature.args[0], *args)
        byte = ir.IntType(8).as_pointer()
        name = "llvm.prefetch.p0"
        kind = ir.FunctionType(ir.VoidType(), [byte, _i32, _i32, _i32])
        declared = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        read, keep, data = (ir.Constant(_i32, value) for value in (0, 3, 1))
        builder.call(declared, [builder.bitcast(at, byte), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


# ---- arithmetic


def _splatter(count: int) -> Any:
    @operation
    def splat_vector(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return llvm.emit_splat(builder, args[0], count)

        return Vector(count)(types.float32), generate

    return splat_vector


splat = _splatter(W)  # splat(float32) -> vector with that value in every element
splat_tile = _splatter(TILE)


def _same(*kinds: Any) -> bool:
    return isinstance(kinds[0], Vector) and all(kind == kinds[0] for kind in kinds)


def _ternary(compute: Callable[..., Any], about: str) -> Any:
    @operation
    def compute_vector(typing: Any, a: Any, b: Any, c: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return compute(builder, *args)

        return (a(a, b, c), generate) if _same(a, b, c) else None

    compute_vector.__doc__ = about
    return compute_vector


def _unary(compute: Callable[[Any, Any], Any], about: str) -> Any:
    @operation
    def compute_vector(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return compute(builder, *args)

        return (a(a), generate) if _same(a) else None

    compute_vector.__doc__ = about
    return compute_vector


def _binary(compute: Callable[[Any, Any, Any], Any], about: str) -> Any:
    @operation
    def compute_vector(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return compute(builder, *args)

        return (a(a, b), generate) if _same(a, b) else None

    compute_vector.__doc__ = about
    return compute_vector


fma = _ternary(llvm.emit_fma, "a·b + c, rounded once where the processor can")
where_equal = _ternary(llvm.emit_where_equal, "a where b == c, else 0")
where_unequal = _ternary(llvm.emit_where_unequal, "a where b != c or either is NaN, else 0")
add = _binary(lambda b, x, y: b.fadd(x, y), "a + b")
sub = _binary(lambda b, x, y: b.fsub(x, y), "a − b")
mul = _binary(lambda b, x, y: b.fmul(x, y), "a · b")
div = _binary(lambda b, x, y: b.fdiv(x, y), "a / b")
maximum = _binary(llvm.emit_maximum, "the larger of a, b; b where either is NaN")
larger = _binary(llvm.emit_larger, "the larger of a, b, a of equal ones; NaN where either is NaN")
where_positive = _binary(llvm.emit_where_positive, "a where b > 0, else 0")
sqrt = _unary(lambda b, x: llvm.emit_call(b, "sqrt", [x]), "√a")
relu = _unary(llvm.emit_relu, "max(a, 0); NaN stays NaN, so that divergence is not hidden")


exp = _unary(llvm.emit_exp, "exp(a), a <= 0, relative error below 3e-7; 0 below −87; NaN stays NaN")


# ---- across the elements of vectors


@operation
def fold_dot(typing: Any, a: Any, b: Any) -> Any:
    """The products of two tiles, added down to one vector of W partial sums."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return llvm.emit_fold_dot(builder, *args)

    if not _same(a, b) or a.width != TILE:
        return None
    return Vector(W)(a, b), generate


@operation
def reduce_rows(typing: Any, array: Any, index: Any) -> Any:
    """reduce_rows(array float32, index): element i is the sum of array[index + i·W :][:W]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = llvm.emit_address(context, builder, signature.args[0], *args)
        offsets = [ir.Constant(ir.IntType(64), i * W) for i in range(W)]
        rows = [
            llvm.emit_read(builder, builder.gep(at, [offset]), llvm.vector_type(W))
            for offset in offsets
        ]
        return llvm.emit_reduce_all(builder, rows)

    return Vector(W)(array, types.intp), generate


@operation
def dots(typing: Any, array: Any, offsets: Any, index: Any, tile: Any) -> Any:
    """dots(array, offsets, index, tile): element i is tile · array[offsets[index + i] :][:TILE]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = llvm.emit_address(context, builder, signature.args[1], args[1], args[2])
        sums = []
        for i in range(W):
            stored = builder.load(builder.gep(at, [ir.Constant(ir.IntType(64), i)]))
            start = builder.sext(stored, ir.IntType(64))
            row = llvm.emit_address(context, builder, signature.args[0], args[0], start)
            sums.append(
                llvm.emit_fold_dot(
                    builder, llvm.emit_read(builder, row, llvm.vector_type(TILE)), args[3]
                )
            )
        return llvm.emit_reduce_all(builder, sums)

    known = isinstance(tile, Vector) and tile.width == TILE
    return (Vector(W)(array, offsets, types.intp, tile), generate) if known else None


@operation
def total(typing: Any, a: Any) -> Any:
    """The sum of all elements, as float32, in a fixed order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        while (half := value.type.count // 2) >= 1:
            left = llvm.emit_pick(builder, value, value, range(half))
            value = builder.fadd(left, llvm.emit_pick(builder, value, value, range(half, 2 * half)))
        return builder.extract_element(value, ir.Constant(_i32, 0))

    return (types.float32(a), generate) if _same(a) else None
