"""Kernels that go pixel by pixel against numpy.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.kernels.elementwise import ENTRIES, add_arrays, relu_back, times
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W

SIZES = st.integers(0, 5).map(lambda vectors: vectors * W)


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    prepare("elementwise", ENTRIES)


def drawn(size: int):
    """Three arrays, half of their entries 0."""
    values = np.random.default_rng(size).normal(size=(3, size)) * (np.arange(size) % 2)
    return values.astype(np.float32)


@given(SIZES, st.booleans())
@settings(deadline=None)
def test_sum(size, rectify):
    a, b, out = drawn(size)
    expected = np.maximum(a + b, 0) if rectify else a + b
    add_arrays(a, b, out, rectify)
    np.testing.assert_array_equal(out, expected)
    add_arrays(a, b, a, rectify)  # in place
    np.testing.assert_array_equal(a, expected)


def test_the_relu_of_a_sum_does_not_hide_what_is_no_number():
    x = np.full(W, math.nan, np.float32)
    add_arrays(x, x, x, True)
    assert np.isnan(x).all()


@given(SIZES, st.booleans())
@settings(deadline=None)
def test_relu_back(size, accumulate):
    y, delta, out = drawn(size)
    y = np.maximum(y, 0)
    expected = np.where(y > 0, delta, 0) + (out if accumulate else 0)
    relu_back(y, delta, out, accumulate)
    np.testing.assert_array_equal(out, expected)


@given(SIZES, st.booleans())
@settings(deadline=None)
def test_product(size, accumulate):
    a, b, out = drawn(size)
    expected = a.astype(np.float64) * b + (out if accumulate else 0)
    times(a, b, out, accumulate)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
