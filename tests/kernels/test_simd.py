"""The vector type against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from winnow.errors import UserError
from winnow.kernels import simd
from winnow.kernels.compile import kernel
from winnow.kernels.simd import TILE, W
from winnow.kernels.transpose import transpose_bytes


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@kernel
def element_by_element(a, b, out):
    x, y = simd.load_vector(a, 0), simd.load_vector(b, 0)
    simd.store(out, 0 * W, simd.fma(x, y, y))
    simd.store(out, 1 * W, simd.div(simd.sub(x, y), simd.add(x, y)))
    simd.store(out, 2 * W, simd.where_positive(x, y))
    simd.store(out, 3 * W, simd.relu(x))
    simd.store(out, 4 * W, simd.maximum(x, y))
    simd.store(out, 5 * W, simd.sqrt(simd.mul(x, x)))
    simd.store(out, 6 * W, simd.splat(simd.scalar(a, 1)))


def test_lane_by_lane(draw):
    a, b = draw.normal(size=(2, W)).astype(np.float32)
    out = np.zeros((7, W), np.float32)
    element_by_element(a, b, out.reshape(-1))
    expected = [
        a * b + b,
        (a - b) / (a + b),
        np.where(b > 0, a, 0),
        np.maximum(a, 0),
        np.maximum(a, b),
        np.abs(a),
        np.full(W, a[1]),
    ]
    for mine, theirs in zip(out, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@kernel
def compared(a, b, out):
    x, y = simd.load_vector(a, 0), simd.load_vector(b, 0)
    one = simd.splat(np.float32(1))
    simd.store(out, 0 * W, simd.larger(x, y))
    simd.store(out, 1 * W, simd.where_equal(one, x, y))
    simd.store(out, 2 * W, simd.where_unequal(one, x, y))


def test_comparisons_with_what_is_no_number():
    a = np.array([1, 2, -math.inf, math.nan] * (W // 4), np.float32)
    b = np.array([math.nan, 2, 3, 4] * (W // 4), np.float32)
    out = np.zeros((3, W), np.float32)
    compared(a, b, out.reshape(-1))
    assert np.array_equal(out[0, :4], [math.nan, 2, 3, math.nan], equal_nan=True)
    assert out[1, :4].tolist() == [0, 1, 0, 0]
    assert out[2, :4].tolist() == [1, 0, 1, 1]


@kernel
def exponentials(a):
    for k in range(0, a.size, W):
        simd.store(a, k, simd.exp(simd.load_vector(a, k)))


def test_exp_below_zero():
    x = -np.linspace(0, 87, 64 * W).astype(np.float32)
    y = x.copy()
    exponentials(y)
    np.testing.assert_allclose(y, np.exp(x.astype(np.float64)), rtol=3e-7)


def test_exp_far_below_zero_and_of_what_is_no_number():
    x = np.array([-88, -1e30, -math.inf, math.nan] * (W // 4), np.float32)
    exponentials(x)
    assert np.array_equal(x[:3], [0, 0, 0])
    assert math.isnan(x[3])


@kernel
def rectified(a):
    simd.store(a, 0, simd.relu(simd.load_vector(a, 0)))


def test_relu_does_not_hide_what_is_no_number():
    x = np.array([math.nan, math.inf, -math.inf, -2.0] * (W // 4), np.float32)
    rectified(x)
    assert math.isnan(x[0])
    assert list(x[1:4]) == [math.inf, 0, 0]


@kernel
def across(a, b, offsets, out):
    tile = simd.load_tile(a, 0)
    simd.store(out, 0, simd.dots(b, offsets, 0, tile))
    simd.store(out, W, simd.reduce_rows(b, 0))
    out[2 * W] = simd.total(simd.load_vector(a, 0))
    out[2 * W + 1] = simd.total(simd.fold_dot(tile, simd.load_tile(b, 0)))
    simd.store(out, 3 * W, simd.add(tile, simd.splat_tile(np.float32(1))))


def test_across_elements(draw):
    a = draw.normal(size=TILE).astype(np.float32)
    b = draw.normal(size=5 * TILE + W * W).astype(np.float32)
    offsets = draw.integers(0, 4 * TILE, W).astype(np.int32)
    out = np.zeros(7 * W, np.float32)
    across(a, b, offsets, out)
    wide = b.astype(np.float64)
    dots = [a @ wide[start : start + TILE] for start in offsets]
    np.testing.assert_allclose(out[:W], dots, rtol=1e-5, atol=1e-5)
    rows = wide[: W * W].reshape(W, W).sum(1)
    np.testing.assert_allclose(out[W : 2 * W], rows, rtol=1e-5, atol=1e-5)
    assert out[2 * W] == pytest.approx(a[:W].sum(), abs=1e-5)
    assert out[2 * W + 1] == pytest.approx(a @ wide[:TILE], abs=1e-4)
    np.testing.assert_array_equal(out[3 * W :], a + np.float32(1))


@kernel
def transposed(pixels, starts, scale, shift, out):
    transpose_bytes(pixels, starts, 1, 3, scale, shift, out, 2, W + 1)


def test_bytes_are_transposed_and_normalised(draw):
    pixels = draw.integers(0, 256, 50 * 40, dtype=np.uint8)
    starts = draw.permutation(50)[: W + 1] * 40
    scale, shift = draw.normal(size=(2, 40)).astype(np.float32)
    out = np.full(W * (W + 1) + 2, 9, np.float32)
    transposed(pixels, starts, scale, shift, out)
    for i in range(W):
        row = out[2 + i * (W + 1) :][:W]
        expected = pixels[starts[1:] + 3 + i] * scale[3 + i] + shift[3 + i]
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-4)
    assert list(out[:2]) == [9, 9]
    assert all(out[2 + W :: W + 1] == 9)


@pytest.mark.parametrize(
    ("features", "asked", "expected"),
    [
        ({"avx512f": True, "avx2": True, "fma": True}, None, 16),
        ({"avx512f": False, "avx2": True, "fma": True}, None, 8),
        ({"avx2": True}, None, 4),
        ({"neon": True}, None, 4),
        ({"avx512f": True}, "4", 4),
    ],
)
def test_the_width_follows_the_processor_and_may_be_forced(features, asked, expected):
    assert simd.vector_width(features, asked) == expected


def test_another_width_is_refused():
    with pytest.raises(UserError, match="WINNOW_SIMD_LANES='12' must be one of 4, 8, 16"):
        simd.vector_width({}, "12")
