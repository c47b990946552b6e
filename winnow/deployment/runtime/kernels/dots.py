"""Sparse weights times the features of one example: W rows of the weights side by side.

Rows lie in slices of W, sorted by their number of nonzeros, so that a slice has little to fill up:
nonzero i of each row in one vector. What is missing is a weight 0 of a feature that exists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from winnow.deployment.runtime.kernels.code import (
    BIAS_AT,
    CHANNELS,
    OFFSET_AT,
    OUT,
    RELU,
    RESIDUAL,
    SCALE_AT,
    START_AT,
    WEIGHT_AT,
    X,
)
from winnow.kernels import llvm
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.compile import kernel
from winnow.kernels.simd import Vector, W, add, fma, load_vector, mul, operation, relu, splat


@operation
def gather_places(typing: Any, array: Any, base: Any, places: Any, first: Any) -> Any:
    """gather_places(array, base, places, first): element i is array[base + places[first + i]]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, word = signature.args, ir.IntType(64)
        begin = llvm.emit_address(context, builder, kinds[0], args[0], args[1])
        vector = ir.Constant(llvm.vector_type(W), ir.Undefined)
        for i in range(W):
            at = builder.add(args[3], ir.Constant(word, i))
            place = builder.load(llvm.emit_address(context, builder, kinds[2], args[2], at))
            value = builder.load(builder.gep(begin, [builder.sext(place, word)]))
            vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), i))
        return vector

    return Vector(W)(array, types.intp, places, types.intp), generate


@operation
def load_bytes(typing: Any, array: Any, index: Any) -> Any:
    """load_bytes(array int8, index): W of them as float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = llvm.emit_address(context, builder, signature.args[0], *args)
        small = llvm.emit_read(builder, at, ir.VectorType(ir.IntType(8), W))
        return builder.sitofp(
            builder.sext(small, ir.VectorType(ir.IntType(32), W)), llvm.vector_type(W)
        )

    return Vector(W)(array, types.intp), generate


@operation
def scatter(typing: Any, vector: Any, array: Any, base: Any, places: Any, first: Any) -> Any:
    """array[base + places[first + i]] = element i, where the place is not negative."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, word = signature.args, ir.IntType(64)
        begin = llvm.emit_address(context, builder, kinds[1], args[1], args[2])
        for i in range(W):
            at = builder.add(args[4], ir.Constant(word, i))
            place = builder.load(llvm.emit_address(context, builder, kinds[3], args[3], at))
            with builder.if_then(builder.icmp_signed(">=", place, ir.Constant(place.type, 0))):
                value = builder.extract_element(args[0], ir.Constant(ir.IntType(32), i))
                builder.store(value, builder.gep(begin, [builder.sext(place, word)]))
        return context.get_dummy_value()

    return types.void(vector, array, types.intp, places, types.intp), generate


@kernel
def slice_dots(op: Int64s, tables: Int32s, weights: Floats, numbers: Floats, arena: Floats) -> None:
    """out = weights · x + bias, and what else comes in; then maybe ReLU.

    ``START_AT``: (slices + 1,) where the slices of the nonzeros begin, in vectors, then (W ·
    slices,) the row of every element, -1 where there is none.
    """
    slices = op[CHANNELS]
    rows = op[START_AT] + slices + 1
    for s in range(slices):
        k, end = int(tables[op[START_AT] + s]), int(tables[op[START_AT] + s + 1])
        at, w = op[OFFSET_AT] + k * W, op[WEIGHT_AT] + k * W
        a = load_vector(numbers, op[BIAS_AT] + s * W)
        b = splat(np.float32(0))
        if op[RESIDUAL] >= 0:
            b = gather_places(arena, op[RESIDUAL], tables, rows + s * W)
        while k + 1 < end:
            a = fma(load_vector(weights, w), gather_places(arena, op[X], tables, at), a)
            b = fma(load_vector(weights, w + W), gather_places(arena, op[X], tables, at + W), b)
            k, at, w = k + 2, at + 2 * W, w + 2 * W
        if k < end:
            a = fma(load_vector(weights, w), gather_places(arena, op[X], tables, at), a)
        a = add(a, b)
        scatter(relu(a) if op[RELU] != 0 else a, arena, op[OUT], tables, rows + s * W)


@kernel
def slice_dots_int8(
    op: Int64s, tables: Int32s, weights: NDArray[np.int8], numbers: Floats, arena: Floats
) -> None:
    """`slice_dots` with weights of one byte and a scale for each row."""
    slices = op[CHANNELS]
    rows = op[START_AT] + slices + 1
    for s in range(slices):
        k, end = int(tables[op[START_AT] + s]), int(tables[op[START_AT] + s + 1])
        at, w = op[OFFSET_AT] + k * W, op[WEIGHT_AT] + k * W
        a = b = splat(np.float32(0))
        while k + 1 < end:
            a = fma(load_bytes(weights, w), gather_places(arena, op[X], tables, at), a)
            b = fma(load_bytes(weights, w + W), gather_places(arena, op[X], tables, at + W), b)
            k, at, w = k + 2, at + 2 * W, w + 2 * W
        if k < end:
            a = fma(load_bytes(weights, w), gather_places(arena, op[X], tables, at), a)
        scaled = mul(add(a, b), load_vector(numbers, op[SCALE_AT] + s * W))
        a = add(scaled, load_vector(numbers, op[BIAS_AT] + s * W))
        if op[RESIDUAL] >= 0:
            a = add(a, gather_places(arena, op[RESIDUAL], tables, rows + s * W))
        scatter(relu(a) if op[RELU] != 0 else a, arena, op[OUT], tables, rows + s * W)
