"""bf16 in memory, float32 in registers: half the bytes, and three decimal digits.

An array of uint16 holds bf16, the upper halves of float32. Loads of `winnow.kernels.simd` widen
them, exactly; stores round to the nearest, to the even one of two. Not a number stays that, and
what overflows becomes infinite, as in IEEE arithmetic.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir

_i16, _i32 = ir.IntType(16), ir.IntType(32)


class _BF16(ir.Type):  # type: ignore[misc]
    """LLVM's ``bfloat``, which llvmlite has no name for."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BF16)

    def __hash__(self) -> int:
        return hash(_BF16)


HAS_INSTRUCTION = bool(binding.get_host_cpu_features().get("avx512bf16"))
"""Whether the processor rounds by itself. It gives the same bits, but 0 for denormals."""


def emit_widen(builder: Any, halves: Any) -> Any:
    """A vector of float32, or one, from the bf16 in integers of 16 bits."""
    wide = _like(halves.type, _i32)
    bits = builder.shl(builder.zext(halves, wide), _constant(wide, 16))
    return builder.bitcast(bits, _like(halves.type, ir.FloatType()))


def emit_narrow(builder: Any, values: Any, instruction: bool = HAS_INSTRUCTION) -> Any:
    """The nearest bf16 to each float32, in integers of 16 bits."""
    short = _like(values.type, _i16)
    if instruction and isinstance(values.type, ir.VectorType) and values.type.count == 16:
        return builder.bitcast(builder.fptrunc(values, _like(values.type, _BF16())), short)
    wide = _like(values.type, _i32)
    bits = builder.bitcast(values, wide)
    odd = builder.and_(builder.lshr(bits, _constant(wide, 16)), _constant(wide, 1))
    rounded = builder.add(builder.add(bits, _constant(wide, 0x7FFF)), odd)
    quiet = builder.or_(bits, _constant(wide, 0x00400000))
    unknown = builder.fcmp_unordered("uno", values, values)
    chosen = builder.select(unknown, quiet, rounded)
    return builder.trunc(builder.lshr(chosen, _constant(wide, 16)), short)


def _like(kind: Any, element: Any) -> Any:
    """The type of as many elements of another type."""
    return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element


def _constant(kind: Any, value: int) -> Any:
    count = kind.count if isinstance(kind, ir.VectorType) else 0
    return ir.Constant(kind, [value] * count if count else value)
