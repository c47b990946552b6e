"""A small vector type for numba: float32 vectors that LLVM keeps in registers.

Two widths serve all kernels. A vector of ``W`` lanes fills one register of this machine. A tile of
``TILE`` = 4 W lanes fills four, which LLVM splits by itself: kernels hold four independent sums
without being unrolled by hand. Every operation but the loads takes its width from its operands.

All functions here are numba intrinsics: they can be called from compiled code only. Loads and
stores need no alignment and check no bounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from winnow.errors import UserError

WIDTHS = (4, 8, 16)  # float32 lanes of NEON and SSE, AVX2, AVX-512


def lanes(features: Mapping[str, bool], asked: str | None = None) -> int:
    """Float32 lanes of a vector register of a processor with these LLVM ``features``.

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


W = lanes(binding.get_host_cpu_features(), os.environ.get("WINNOW_SIMD_LANES"))
TILE = 4 * W

_i32 = ir.IntType(32)


def operation(function: Any) -> Any:
    """numba's ``intrinsic``, whose own types would have callers pass the typing context."""
    return intrinsic(function)


class Vector(types.Type):
    """The numba type of ``lanes`` float32 in registers."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"f32x{lanes}")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, _llvm(kind.lanes))  # type: ignore[no-untyped-call]


def _llvm(count: int) -> Any:
    return ir.VectorType(ir.FloatType(), count)


def _constant(count: int, value: float) -> Any:
    return ir.Constant(_llvm(count), [value] * count)


def _pick(builder: Any, a: Any, b: Any, picks: Sequence[int]) -> Any:
    """The lanes ``picks`` of a, b one after the other."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_i32, len(picks)), list(picks)))


def _splat(builder: Any, value: Any, count: int) -> Any:
    one = builder.insert_element(
        ir.Constant(_llvm(count), ir.Undefined), value, ir.Constant(_i32, 0)
    )
    return _pick(builder, one, one, [0] * count)


def _call(builder: Any, name: str, args: Sequence[Any]) -> Any:
    """Call LLVM's own function on vectors, e.g. ``sqrt``."""
    kind = args[0].type
    function = ir.FunctionType(kind, [kind] * len(args))
    full = f"llvm.{name}.v{kind.count}f32"
    declared = builder.module.globals.get(full) or ir.Function(builder.module, function, full)
    return builder.call(declared, args)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    # fmuladd: one instruction where the processor has it, never a call to a library
    return _call(builder, "fmuladd", [a, b, c])


# ---- memory


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _read(builder: Any, address: Any, kind: Any) -> Any:
    value = builder.load(builder.bitcast(address, kind.as_pointer()))
    value.align = 1 if kind.element == ir.IntType(8) else 4
    return value


def _loader(count: int) -> Any:
    @operation
    def load_lanes(typing: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at = _address(context, builder, signature.args[0], *args)
            return _read(builder, at, _llvm(count))

        return Vector(count)(array, types.intp), generate

    return load_lanes


load = _loader(W)  # load(array float32, index) -> vector of W lanes
load_tile = _loader(TILE)  # the same with TILE lanes


@operation
def read(typing: Any, array: Any, index: Any) -> Any:
    """read(array, index): array[index], without numba's look at the sign of the index."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], *args))

    return array.dtype(array, types.intp), generate


@operation
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """store(array float32, index, vector)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(at, args[2].type.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@operation
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """prefetch(array, index): ask for the cache line of array[index]; changes no result."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, signature.args[0], *args)
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
    def splat_lanes(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _splat(builder, args[0], count)

        return Vector(count)(types.float32), generate

    return splat_lanes


splat = _splatter(W)  # splat(float32) -> vector with that value in every lane
splat_tile = _splatter(TILE)


def _same(*kinds: Any) -> bool:
    return isinstance(kinds[0], Vector) and all(kind == kinds[0] for kind in kinds)


def _unary(compute: Callable[[Any, Any], Any], about: str) -> Any:
    @operation
    def compute_lanes(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return compute(builder, *args)

        return (a(a), generate) if _same(a) else None

    compute_lanes.__doc__ = about
    return compute_lanes


def _binary(compute: Callable[[Any, Any, Any], Any], about: str) -> Any:
    @operation
    def compute_lanes(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return compute(builder, *args)

        return (a(a, b), generate) if _same(a, b) else None

    compute_lanes.__doc__ = about
    return compute_lanes


@operation
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once where the processor can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fma(builder, *args)

    return (a(a, b, c), generate) if _same(a, b, c) else None


def _relu(builder: Any, a: Any) -> Any:
    zero = _constant(a.type.count, 0.0)
    return builder.select(builder.fcmp_ordered("<", a, zero), zero, a)


def _where_positive(builder: Any, a: Any, x: Any) -> Any:
    zero = _constant(a.type.count, 0.0)
    return builder.select(builder.fcmp_ordered(">", x, zero), a, zero)


def _maximum(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


add = _binary(lambda b, x, y: b.fadd(x, y), "a + b")
sub = _binary(lambda b, x, y: b.fsub(x, y), "a − b")
mul = _binary(lambda b, x, y: b.fmul(x, y), "a · b")
div = _binary(lambda b, x, y: b.fdiv(x, y), "a / b")
maximum = _binary(_maximum, "the larger of a, b; b where either is NaN")
where_positive = _binary(_where_positive, "a where b > 0, else 0")
sqrt = _unary(lambda b, x: _call(b, "sqrt", [x]), "√a")
relu = _unary(_relu, "max(a, 0); NaN stays NaN, so that divergence is not hidden")


def _exp(builder: Any, x: Any) -> Any:
    """exp(x) = 2ⁿ exp(r), n = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by its Taylor series."""

    def number(value: float) -> Any:
        return _constant(x.type.count, value)

    # Adding 1.5 · 2²³ leaves round(x / ln 2) in the low bits of the sum.
    magic = number(12582912.0)
    shifted = _fma(builder, x, number(1.4426950408889634), magic)
    n = builder.fsub(shifted, magic)
    r = _fma(builder, n, number(-0.693359375), x)  # ln 2 in two parts, the first short: exact
    r = _fma(builder, n, number(2.12194440e-4), r)
    series = number(1 / 5040)
    for denominator in (720, 120, 24, 6, 2, 1, 1):
        series = _fma(builder, series, r, number(1 / denominator))
    integers = ir.VectorType(_i32, x.type.count)

    def integer(value: int) -> Any:
        return ir.Constant(integers, [value] * x.type.count)

    exponent = builder.shl(builder.bitcast(shifted, integers), integer(23))
    scale = builder.bitcast(builder.add(exponent, integer(127 << 23)), x.type)
    tiny = builder.fcmp_ordered("<", x, number(-87.0))
    return builder.select(tiny, number(0.0), builder.fmul(series, scale))


exp = _unary(_exp, "exp(a) for a <= 0, relative error below 3e-7; 0 below −87; NaN stays NaN")


# ---- across lanes


def _quarters(builder: Any, tile: Any) -> list[Any]:
    width = tile.type.count // 4
    return [_pick(builder, tile, tile, range(i * width, (i + 1) * width)) for i in range(4)]


def _fold_dot(builder: Any, a: Any, b: Any) -> Any:
    """Products of two tiles as W partial sums."""
    total: Any = None
    for x, y in zip(_quarters(builder, a), _quarters(builder, b), strict=True):
        total = builder.fmul(x, y) if total is None else _fma(builder, x, y, total)
    return total


@operation
def fold_dot(typing: Any, a: Any, b: Any) -> Any:
    """The products of two tiles, added down to one vector of W partial sums."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fold_dot(builder, *args)

    if not _same(a, b) or a.lanes != TILE:
        return None
    return Vector(W)(a, b), generate


def _halve(builder: Any, a: Any, b: Any, level: int) -> Any:
    """Add pairs of lanes of a, and of b, into one vector, with the cheapest shuffles there are.

    Within four lanes first (levels 0 and 1), where a shuffle takes one cycle, then whole fours.
    """
    n = a.type.count
    fours = range(0, n, 4)
    if level == 0:
        low = [lane for i in fours for lane in (i, n + i, i + 1, n + i + 1)]
        high = [lane + 2 for lane in low]
    elif level == 1:
        low = [lane for i in fours for lane in (i, i + 1, n + i, n + i + 1)]
        high = [lane + 2 for lane in low]
    else:
        low = [lane for i in range(0, 2 * n, 8) for lane in range(i, i + 4)]
        high = [lane + 4 for lane in low]
    return builder.fadd(_pick(builder, a, b, low), _pick(builder, a, b, high))


def _reduce_all(builder: Any, vectors: Sequence[Any]) -> Any:
    """W vectors -> one vector whose lane i is the sum of the lanes of vector i."""
    for level in range(W.bit_length() - 1):
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [_halve(builder, a, b, level) for a, b in pairs]
    return vectors[0]


@operation
def reduce_rows(typing: Any, array: Any, index: Any) -> Any:
    """reduce_rows(array float32, index): lane i is the sum of array[index + i·W :][:W]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, signature.args[0], *args)
        offsets = [ir.Constant(ir.IntType(64), i * W) for i in range(W)]
        rows = [_read(builder, builder.gep(at, [offset]), _llvm(W)) for offset in offsets]
        return _reduce_all(builder, rows)

    return Vector(W)(array, types.intp), generate


@operation
def dots(typing: Any, array: Any, offsets: Any, index: Any, tile: Any) -> Any:
    """dots(array, offsets, index, tile): lane i is tile · array[offsets[index + i] :][:TILE]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, signature.args[1], args[1], args[2])
        sums = []
        for i in range(W):
            stored = builder.load(builder.gep(at, [ir.Constant(ir.IntType(64), i)]))
            start = builder.sext(stored, ir.IntType(64))
            row = _address(context, builder, signature.args[0], args[0], start)
            sums.append(_fold_dot(builder, _read(builder, row, _llvm(TILE)), args[3]))
        return _reduce_all(builder, sums)

    known = isinstance(tile, Vector) and tile.lanes == TILE
    return (Vector(W)(array, offsets, types.intp, tile), generate) if known else None


@operation
def total(typing: Any, a: Any) -> Any:
    """The sum of all lanes, as float32, in a fixed order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        while (half := value.type.count // 2) >= 1:
            left = _pick(builder, value, value, range(half))
            value = builder.fadd(left, _pick(builder, value, value, range(half, 2 * half)))
        return builder.extract_element(value, ir.Constant(_i32, 0))

    return (types.float32(a), generate) if _same(a) else None
