"""The instructions behind `winnow.kernels.simd`, as LLVM's builder writes them.

Each ``emit`` function appends instructions on vectors of float32 to a function that numba is
compiling, and returns the value that they compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from winnow.kernels.bf16 import emit_narrow, emit_widen

_i32 = ir.IntType(32)


def vector_type(count: int) -> Any:
    """The type of ``count`` float32."""
    return ir.VectorType(ir.FloatType(), count)


def emit_constant(count: int, value: float) -> Any:
    """``value`` in every element."""
    return ir.Constant(vector_type(count), [value] * count)


def emit_pick(builder: Any, a: Any, b: Any, picks: Sequence[int]) -> Any:
    """The elements ``picks`` of a, b one after the other."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_i32, len(picks)), list(picks)))


def emit_splat(builder: Any, value: Any, count: int) -> Any:
    """A computed ``value`` in every element."""
    one = builder.insert_element(
        ir.Constant(vector_type(count), ir.Undefined), value, ir.Constant(_i32, 0)
    )
    return emit_pick(builder, one, one, [0] * count)


def emit_call(builder: Any, name: str, args: Sequence[Any]) -> Any:
    """Call LLVM's own function on vectors, e.g. ``sqrt``."""
    kind = args[0].type
    function = ir.FunctionType(kind, [kind] * len(args))
    full = f"llvm.{name}.v{kind.count}f32"
    declared = builder.module.globals.get(full) or ir.Function(builder.module, function, full)
    return builder.call(declared, args)


def emit_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c."""
    # fmuladd: one instruction where the processor has it, never a call to a library
    return emit_call(builder, "fmuladd", [a, b, c])


def emit_address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where array[index] lies; ``kind`` is the array's numba type."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def emit_read(builder: Any, address: Any, kind: Any) -> Any:
    """The vector at an address, aligned like its elements only; float32 from bf16 too."""
    stored = _stored(address, kind)
    value = builder.load(builder.bitcast(address, stored.as_pointer()))
    value.align = _size(stored)
    return emit_widen(builder, value) if stored != kind else value


def emit_store(builder: Any, vector: Any, address: Any, *, past_caches: bool) -> None:
    """Store a vector, as bf16 where these lie there.

    Past the caches only where the address is a multiple of what is stored.
    """
    kind = _stored(address, vector.type)
    value = emit_narrow(builder, vector) if kind != vector.type else vector
    stored = builder.store(value, builder.bitcast(address, kind.as_pointer()))
    stored.align = _size(kind) * (kind.count if past_caches else 1)
    if past_caches:
        one = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        stored.set_metadata("nontemporal", one)


def _stored(address: Any, kind: Any) -> Any:
    """As what a vector of this type lies at an address: bf16 in integers, or as it is."""
    halves = kind.element == ir.FloatType() and address.type.pointee == ir.IntType(16)
    return ir.VectorType(ir.IntType(16), kind.count) if halves else kind


def _size(kind: Any) -> int:
    """Bytes of an element."""
    return 4 if kind.element == ir.FloatType() else int(kind.element.width) // 8


def emit_relu(builder: Any, a: Any) -> Any:
    """max(a, 0); NaN stays."""
    zero = emit_constant(a.type.count, 0.0)
    return builder.select(builder.fcmp_ordered("<", a, zero), zero, a)


def emit_where_positive(builder: Any, a: Any, x: Any) -> Any:
    """a where x > 0, else 0."""
    zero = emit_constant(a.type.count, 0.0)
    return builder.select(builder.fcmp_ordered(">", x, zero), a, zero)


def emit_maximum(builder: Any, a: Any, b: Any) -> Any:
    """The larger of a and b; b where either is NaN."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def emit_larger(builder: Any, a: Any, b: Any) -> Any:
    """The larger of a and b, a where they are equal; NaN where either is NaN."""
    better = builder.fcmp_ordered(">", b, a)
    return builder.select(builder.or_(better, builder.fcmp_unordered("uno", b, b)), b, a)


def emit_where_equal(builder: Any, a: Any, x: Any, y: Any) -> Any:
    """a where x = y, else 0."""
    zero = emit_constant(a.type.count, 0.0)
    return builder.select(builder.fcmp_ordered("==", x, y), a, zero)


def emit_where_unequal(builder: Any, a: Any, x: Any, y: Any) -> Any:
    """a where x differs from y or either is NaN, else 0."""
    zero = emit_constant(a.type.count, 0.0)
    return builder.select(builder.fcmp_ordered("==", x, y), zero, a)


def emit_exp(builder: Any, x: Any) -> Any:
    """exp(x) = 2ⁿ exp(r), n = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by its Taylor series."""

    def number(value: float) -> Any:
        return emit_constant(x.type.count, value)

    # Adding 1.5 · 2²³ leaves round(x / ln 2) in the low bits of the sum.
    magic = number(12582912.0)
    shifted = emit_fma(builder, x, number(1.4426950408889634), magic)
    n = builder.fsub(shifted, magic)
    r = emit_fma(builder, n, number(-0.693359375), x)  # ln 2 in two parts, the first short: exact
    r = emit_fma(builder, n, number(2.12194440e-4), r)
    series = number(1 / 5040)
    for denominator in (720, 120, 24, 6, 2, 1, 1):
        series = emit_fma(builder, series, r, number(1 / denominator))
    integers = ir.VectorType(_i32, x.type.count)

    def integer(value: int) -> Any:
        return ir.Constant(integers, [value] * x.type.count)

    exponent = builder.shl(builder.bitcast(shifted, integers), integer(23))
    scale = builder.bitcast(builder.add(exponent, integer(127 << 23)), x.type)
    tiny = builder.fcmp_ordered("<", x, number(-87.0))
    return builder.select(tiny, number(0.0), builder.fmul(series, scale))


def emit_quarters(builder: Any, tile: Any) -> list[Any]:
    """The four vectors of a tile."""
    width = tile.type.count // 4
    return [emit_pick(builder, tile, tile, range(i * width, (i + 1) * width)) for i in range(4)]


def emit_fold_dot(builder: Any, a: Any, b: Any) -> Any:
    """Products of two tiles as W partial sums."""
    total: Any = None
    for x, y in zip(emit_quarters(builder, a), emit_quarters(builder, b), strict=True):
        total = builder.fmul(x, y) if total is None else emit_fma(builder, x, y, total)
    return total


def emit_halve(builder: Any, a: Any, b: Any, level: int) -> Any:
    """Add pairs of elements of a, and of b, into one vector, with the cheapest shuffles there are.

    Within four elements first (levels 0 and 1), where a shuffle takes one cycle, then whole fours.
    """
    n = a.type.count
    fours = range(0, n, 4)
    if level == 0:
        low = [at for i in fours for at in (i, n + i, i + 1, n + i + 1)]
        high = [at + 2 for at in low]
    elif level == 1:
        low = [at for i in fours for at in (i, i + 1, n + i, n + i + 1)]
        high = [at + 2 for at in low]
    else:
        low = [at for i in range(0, 2 * n, 8) for at in range(i, i + 4)]
        high = [at + 4 for at in low]
    return builder.fadd(emit_pick(builder, a, b, low), emit_pick(builder, a, b, high))


def emit_reduce_all(builder: Any, vectors: Sequence[Any]) -> Any:
    """W vectors -> one vector whose element i is the sum of the elements of vector i."""
    for level in range(len(vectors).bit_length() - 1):
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [emit_halve(builder, a, b, level) for a, b in pairs]
    return vectors[0]
