"""Per-example moments of 3x3 convolutions against float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.kernels.per_example import Buffers
from winnow.kernels.simd import W

BUFFERS = Buffers()  # used again and again, whatever lay there before


def expected(x, delta, stride, padding, square):
    seen = F.unfold(x.double(), 3, padding=padding, stride=stride)
    g = delta.double().flatten(2) @ seen.transpose(1, 2)
    moment = (g**2 if square else g.abs()).sum(0)
    return moment.view(delta.shape[1], x.shape[1], 3, 3)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 3 * W),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    image=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    square=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape(count, channels, image, stride, padding, square, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, channels[0], *image, generator=draw)
    weight = torch.zeros(channels[1], channels[0], 3, 3)
    shape = F.conv2d(x, weight, stride=stride, padding=padding).shape
    delta = torch.randn(shape, generator=draw)
    found = BUFFERS.moment(x, delta, stride, padding, square)
    exact = expected(x, delta, stride, padding, square)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5 * float(exact.max()))


@pytest.mark.parametrize("outputs", [7, 20])
def test_images_and_outputs_in_several_blocks(outputs):
    x, delta = torch.randn(2 * W, 3, 34, 34), torch.randn(2 * W, outputs, 32, 32)
    found = BUFFERS.moment(x, delta, (1, 1), (0, 0), False)
    torch.testing.assert_close(found.double(), expected(x, delta, 1, 0, False), rtol=1e-5, atol=0)


def test_memory_formats_and_views_do_not_matter():
    x, delta = torch.randn(W, 4, 6, 6), torch.randn(W, 3, 6, 6)
    plain = BUFFERS.moment(x, delta, (1, 1), (1, 1), True)
    last = delta.to(memory_format=torch.channels_last)
    doubled = torch.stack([x, x], -1)[..., 0]
    assert torch.equal(BUFFERS.moment(doubled, last, (1, 1), (1, 1), True), plain)
