"""bf16 in memory: rounding against torch's, bit for bit, by the instruction and without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from winnow.kernels import bf16, llvm
from winnow.kernels.arrays import aligned, aligned_halves
from winnow.kernels.compile import kernel
from winnow.kernels.simd import W, load_vector, operation, put, scalar, store

SPECIAL = [0.0, -0.0, 1.0, -1.0, 3.4e38, -3.4e38, np.inf, -np.inf, 1.00390625, 1.01171875]


def narrower(instruction: bool) -> Any:
    """A kernel that rounds vectors to bf16."""

    @operation
    def narrow_at(typing: Any, array: Any, index: Any, out: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at = llvm.emit_address(context, builder, signature.args[0], args[0], args[1])
            to = llvm.emit_address(context, builder, signature.args[2], args[2], args[1])
            halves = bf16.emit_narrow(
                builder, llvm.emit_read(builder, at, llvm.vector_type(W)), instruction
            )
            builder.store(halves, builder.bitcast(to, halves.type.as_pointer())).align = 2
            return context.get_dummy_value()

        return types.void(array, types.intp, out), generate

    @kernel
    def narrow(values: np.ndarray, out: np.ndarray) -> None:
        for k in range(0, out.size, W):
            narrow_at(values, k, out)

    return narrow


@kernel
def _widen(halves: np.ndarray, out: np.ndarray) -> None:
    for k in range(0, out.size, W):
        store(out, k, load_vector(halves, k))


@kernel
def _one_by_one(values: np.ndarray, halves: np.ndarray, again: np.ndarray) -> None:
    for k in range(values.size):
        put(halves, k, scalar(values, k))
        put(again, k, scalar(halves, k))


def expected(values: np.ndarray) -> np.ndarray:
    return torch.from_numpy(values.copy()).bfloat16().view(torch.int16).numpy().view(np.uint16)


def some(bits: np.ndarray) -> np.ndarray:
    """Float32 of these bits, normal numbers, infinities and what is not a number."""
    values = aligned(-(-(len(bits) + len(SPECIAL)) // W) * W, 1.5)
    values[: len(bits)] = bits.view(np.float32)
    values[len(bits) : len(bits) + len(SPECIAL)] = SPECIAL
    values[(values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)] = 1.0
    return values


def same(halves: np.ndarray, values: np.ndarray) -> None:
    nan = np.isnan(values)
    assert np.array_equal(halves[~nan], expected(values)[~nan])
    assert np.isnan((halves[nan].astype(np.uint32) << 16).view(np.float32)).all()


WAYS = [False, True] if bf16.HAS_INSTRUCTION else [False]


@pytest.mark.parametrize("instruction", WAYS)
def test_vectors_are_rounded_to_the_nearest_even_bf16(instruction):
    narrow = narrower(instruction)
    values = some(np.random.default_rng(0).integers(0, 2**32, 1 << 16, dtype=np.uint32))
    ties = (np.arange(1 << 15, dtype=np.uint32) + (127 << 7)) << 16 | 0x8000
    for numbers in (values, some(ties)):
        halves = aligned_halves(numbers.size)
        narrow(numbers, halves)
        same(halves, numbers)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_numbers_are_rounded_as_vectors_are(bits):
    values = some(np.array(bits, np.uint32))
    halves, again = aligned_halves(values.size), aligned(values.size, 0.0)
    _one_by_one(values, halves, again)
    same(halves, values)
    assert np.array_equal(again.view(np.uint32) >> 16, halves)
    assert not (again.view(np.uint32) & 0xFFFF).any()


def test_every_bf16_is_widened_exactly():
    halves = aligned_halves(1 << 16)
    halves[:] = np.arange(1 << 16)
    wide = aligned(1 << 16, 0.0)
    _widen(halves, wide)
    assert np.array_equal(wide.view(np.uint32), np.arange(1 << 16, dtype=np.uint32) << 16)
