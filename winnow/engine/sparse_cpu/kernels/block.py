"""Blocks: the vectors of a few pixels, held in registers while a kernel runs over nonzeros.

A block covers ``groups`` x ``rows`` x ``columns`` pixels of a map, one vector of W examples each.
Its shape belongs to its numba type, so that LLVM keeps every vector in a register of its own and
the loop over nonzeros has no other loop in it: a kernel that takes a block compiles once for each
shape. Where the block lies in memory is known at run time only, by the distances between groups,
rows and pixels; but in the loop over nonzeros pixels are ``step`` vectors apart, which the type
knows too, so that they need no registers for addresses.

All functions here are numba intrinsics, like those of `winnow.kernels.simd`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import models, register_model

from winnow.kernels import llvm
from winnow.kernels.simd import Vector, W, operation

_i64 = ir.IntType(64)
_vector = Vector(W)


class BlockType(types.Type):
    """The numba type of a block."""

    def __init__(self, groups: int, rows: int, columns: int, step: int) -> None:
        self.groups, self.rows, self.columns, self.step = groups, rows, columns, step
        super().__init__(name=f"block{groups}x{rows}x{columns}step{step}")

    @property
    def count(self) -> int:
        """How many vectors it holds."""
        return self.groups * self.rows * self.columns

    def places(self) -> Iterator[tuple[int, int, int]]:
        """Group, row and column of every vector, in order."""
        for place in range(self.count):
            line, column = divmod(place, self.columns)
            yield line // self.rows, line % self.rows, column


@register_model(BlockType)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: BlockType) -> None:
        held = ir.ArrayType(llvm.vector_type(W), kind.count)
        super().__init__(manager, kind, held)  # type: ignore[no-untyped-call]


def _split(builder: Any, block: Any) -> list[Any]:
    return [builder.extract_value(block, i) for i in range(block.type.count)]


def _join(builder: Any, vectors: Sequence[Any]) -> Any:
    block = ir.Constant(ir.ArrayType(vectors[0].type, len(vectors)), ir.Undefined)
    for i, vector in enumerate(vectors):
        block = builder.insert_value(block, vector, i)
    return block


def _number(value: int) -> Any:
    return ir.Constant(_i64, value)


def _addresses(builder: Any, kind: BlockType, base: Any, steps: Sequence[Any]) -> Iterator[Any]:
    """Where the vectors of a block lie that begins at ``base``; steps in floats."""
    for place in kind.places():
        at = base
        for number, step in zip(place, steps, strict=True):
            if number:
                at = builder.gep(at, [builder.mul(_number(number), step)])
        yield at


def _reads(builder: Any, kind: BlockType, base: Any, group: Any, row: Any) -> list[Any]:
    """The vectors of a block, pixels ``kind.step`` vectors apart."""
    steps = (group, row, _number(kind.step * W))
    return [
        llvm.emit_read(builder, at, llvm.vector_type(W))
        for at in _addresses(builder, kind, base, steps)
    ]


# ---- making


def zero_block(groups: int, rows: int, columns: int, step: int) -> Any:
    """An intrinsic, not a block: called without arguments it returns a block of zeros."""

    @operation
    def make(typing: Any) -> Any:
        kind = BlockType(groups, rows, columns, step)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return ir.Constant(ir.ArrayType(llvm.vector_type(W), kind.count), None)

        return kind(), generate

    return make


@operation
def vector_count(typing: Any, block: Any) -> Any:
    """vector_count(block): how many vectors it holds, a constant."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _number(block.count)

    return types.intp(block), generate


@operation
def fill_block(typing: Any, block: Any, vector: Any) -> Any:
    """fill_block(block, vector): a block of the same shape with that vector everywhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _join(builder, [args[1]] * block.count)

    return block(block, vector), generate


# ---- memory


@operation
def load_block(
    typing: Any, block: Any, array: Any, index: Any, group: Any, row: Any, pixel: Any
) -> Any:
    """The block of that shape from array[index] on.

    ``group``, ``row`` and ``pixel`` are the distances between these, in floats.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = llvm.emit_address(context, builder, signature.args[1], args[1], args[2])
        places = _addresses(builder, block, base, args[3:])
        return _join(builder, [llvm.emit_read(builder, at, llvm.vector_type(W)) for at in places])

    return block(block, array, *[types.intp] * 4), generate


def _storer(about: str, *, past_caches: bool) -> Any:
    @operation
    def store(
        typing: Any, block: Any, array: Any, index: Any, group: Any, row: Any, pixel: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            base = llvm.emit_address(context, builder, signature.args[1], args[1], args[2])
            places = _addresses(builder, block, base, args[3:])
            for at, vector in zip(places, _split(builder, args[0]), strict=True):
                llvm.emit_store(builder, vector, at, past_caches=past_caches)
            return context.get_dummy_value()

        return types.void(block, array, *[types.intp] * 4), generate

    store.__doc__ = about
    return store


store_block = _storer("Store a block where `load_block` would read it.", past_caches=False)
stream_block = _storer(
    "The same, past the caches, for what is not read soon: to whole vectors' places alone.",
    past_caches=True,
)


# ---- the loop over nonzeros


@operation
def add_product(
    typing: Any, block: Any, weight: Any, array: Any, index: Any, group: Any, row: Any
) -> Any:
    """block + weight · (the block at array[index], pixels its type's step apart)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = llvm.emit_address(context, builder, signature.args[2], args[2], args[3])
        w = llvm.emit_splat(builder, args[1], W)
        pairs = zip(_reads(builder, block, base, *args[4:]), _split(builder, args[0]), strict=True)
        return _join(builder, [llvm.emit_fma(builder, w, x, a) for x, a in pairs])

    return block(block, types.float32, array, *[types.intp] * 3), generate


@operation
def block_dot(typing: Any, block: Any, array: Any, index: Any, group: Any, row: Any) -> Any:
    """The products of a block with the one at array[index], added down to one vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = llvm.emit_address(context, builder, signature.args[1], args[1], args[2])
        reads = _reads(builder, block, base, *args[3:])
        sums: list[Any] = []  # four, as an addition takes four cycles
        for i, (x, y) in enumerate(zip(reads, _split(builder, args[0]), strict=True)):
            if i < 4:
                sums.append(builder.fmul(x, y))
            else:
                sums[i % 4] = llvm.emit_fma(builder, x, y, sums[i % 4])
        return _tree(builder, sums)

    return _vector(block, array, *[types.intp] * 3), generate


# ---- arithmetic


def _tree(builder: Any, vectors: Sequence[Any]) -> Any:
    """The sum, by halves."""
    if len(vectors) == 1:
        return vectors[0]
    half = len(vectors) // 2
    return builder.fadd(_tree(builder, vectors[:half]), _tree(builder, vectors[half:]))


def _each(compute: Callable[..., Any], about: str) -> Any:
    @operation
    def compute_block(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pairs = zip(_split(builder, args[0]), _split(builder, args[1]), strict=True)
            return _join(builder, [compute(builder, x, y) for x, y in pairs])

        return (a(a, b), generate) if a == b and isinstance(a, BlockType) else None

    compute_block.__doc__ = about
    return compute_block


add_blocks = _each(lambda b, x, y: b.fadd(x, y), "a + b")
subtract_blocks = _each(lambda b, x, y: b.fsub(x, y), "a − b")
multiply_blocks = _each(lambda b, x, y: b.fmul(x, y), "a · b")
gate_block = _each(llvm.emit_where_positive, "a where b > 0, else 0")


@operation
def scale_block(typing: Any, block: Any, scale: Any, offset: Any) -> Any:
    """block · scale + offset, both float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (llvm.emit_splat(builder, value, W) for value in args[1:])
        return _join(builder, [llvm.emit_fma(builder, x, a, b) for x in _split(builder, args[0])])

    return block(block, types.float32, types.float32), generate


@operation
def rectify_block(typing: Any, a: Any) -> Any:
    """max(a, 0); NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _join(builder, [llvm.emit_relu(builder, x) for x in _split(builder, args[0])])

    return a(a), generate


@operation
def mask_last(typing: Any, block: Any, present: Any) -> Any:
    """The block, its last group 0 where ``present``, a vector, is not positive."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = _split(builder, args[0])
        for i, (group, _, _) in enumerate(block.places()):
            if group == block.groups - 1:
                vectors[i] = llvm.emit_where_positive(builder, vectors[i], args[1])
        return _join(builder, vectors)

    return block(block, present), generate


@operation
def block_total(typing: Any, a: Any) -> Any:
    """The sum of a block's vectors."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _tree(builder, _split(builder, args[0]))

    return _vector(a), generate


@operation
def block_total_product(typing: Any, a: Any, b: Any) -> Any:
    """The products of two blocks, added down to one vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip(_split(builder, args[0]), _split(builder, args[1]), strict=True)
        return _tree(builder, [builder.fmul(x, y) for x, y in pairs])

    return (_vector(a, b), generate) if a == b else None
