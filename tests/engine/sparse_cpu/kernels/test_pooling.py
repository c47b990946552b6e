"""Pooling kernels against torch in float64.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.graph.map import Map, group_count
from winnow.engine.sparse_cpu.kernels.pooling import (
    ENTRIES,
    avg_pool,
    avg_pool_back,
    max_pool,
    max_pool_back,
)
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W

KINDS = ("max", "avg")


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    prepare("pool", ENTRIES)


@st.composite
def cases(draw):
    """A batch, its map and that of the result, window, stride, padding and ceil_mode."""
    window = draw(st.tuples(*[st.integers(1, 4)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 4)] * 2))
    pad = tuple(draw(st.integers(0, k // 2)) for k in window)
    size = tuple(draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(window, pad, strict=True))
    channels, batch = draw(st.integers(1, 3)), draw(st.integers(1, 2 * W + 1))
    ceil = draw(st.booleans())
    borders = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    how = (window, stride, pad, ceil)
    shape = torch_pool("max", torch.zeros(1, channels, *size), how).shape[1:]
    return batch, Map(channels, *size, borders[0]), Map(*shape, borders[1]), how


def torch_pool(kind: str, x: torch.Tensor, how) -> torch.Tensor:
    window, stride, pad, ceil = how
    function = F.max_pool2d if kind == "max" else F.avg_pool2d
    return function(x, window, stride, pad, ceil_mode=ceil)


def pooled(kind: str, din: Map, dout: Map, how, x, batch: int):
    out = dout.zeros(batch)
    kernel = max_pool if kind == "max" else avg_pool
    kernel(din.dims, dout.dims, geometry(how), group_count(batch), x, out)
    return out


def pooled_back(kind: str, din: Map, dout: Map, how, x, out, delta, dx, accumulate: bool) -> None:
    about = din.dims, dout.dims, geometry(how), len(x) // din.group
    if kind == "max":
        max_pool_back(*about, x, out, delta, dx, accumulate)
    else:
        avg_pool_back(*about, delta, dx, accumulate)


def geometry(how):
    return np.array([n for pair in how[:3] for n in pair], np.int64)


def few_values(seed: int, batch: int, layout: Map) -> torch.Tensor:
    """Activations with many ties, half of them 0 as after a ReLU."""
    shape = (batch, layout.channels, layout.height, layout.width)
    values = np.random.default_rng(seed).integers(-3, 4, shape)
    return torch.from_numpy(np.maximum(values, 0).astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
@given(cases(), st.integers(0, 99), st.booleans())
@settings(deadline=None)
def test_both_ways_against_torch(kind, case, seed, accumulate):
    batch, din, dout, how = case
    images = few_values(seed, batch, din)
    wide = images.double().requires_grad_()
    expected = torch_pool(kind, wide, how)
    x = din.pack(images)
    out = pooled(kind, din, dout, how, x, batch)
    np.testing.assert_allclose(out, dout.pack(expected), rtol=1e-6)  # borders and all

    delta = torch.from_numpy(np.random.default_rng(seed).normal(size=expected.shape))
    (gradient,) = torch.autograd.grad(expected, wide, delta.float().double())
    before = few_values(seed + 1, batch, din)
    dx = din.pack(before)
    pooled_back(kind, din, dout, how, x, out, dout.pack(delta), dx, accumulate)
    if accumulate:
        gradient += before
    np.testing.assert_allclose(dx, din.pack(gradient), rtol=1e-5, atol=1e-6)


def test_a_window_of_the_whole_map_gives_the_mean_of_each_channel():
    din, dout = Map(5, 8, 8, 1), Map(5)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5, 8, 8)))
    out = pooled("avg", din, dout, ((8, 8), (8, 8), (0, 0)), din.pack(images), 3)
    np.testing.assert_allclose(out, dout.pack(images.mean((2, 3))), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_what_is_no_number_is_not_hidden(kind, place):
    din, dout, how = Map(1, 2, 2, 1), Map(1), ((2, 2), (2, 2), (0, 0))
    images = torch.full((2, 1, 2, 2), -1.0)
    images[0].view(-1)[place] = math.nan
    out = dout.unpack(pooled(kind, din, dout, how, din.pack(images), 2), 2)
    assert math.isnan(out[0])
    assert out[1] == -1


def test_infinities_are_numbers_to_a_maximum():
    din, dout, how = Map(1, 1, 2), Map(1), ((1, 2), (1, 2), (0, 0))
    images = torch.tensor([[-math.inf, -math.inf], [-math.inf, 2.0], [math.inf, 2.0]])
    x = din.pack(images)
    out = pooled("max", din, dout, how, x, 3)
    assert dout.unpack(out, 3).view(-1).tolist() == [-math.inf, 2, math.inf]
    dx = din.zeros(3)
    pooled_back("max", din, dout, how, x, out, dout.pack(torch.ones(3, 1)), dx, False)
    assert din.unpack(dx, 3).view(3, 2).tolist() == [[1, 0], [0, 1], [1, 0]]
