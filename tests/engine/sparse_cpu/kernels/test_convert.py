"""Conversion kernels against the slow way of `Map`.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.kernels.convert import ENTRIES, images_to_map, map_to_images
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    prepare("convert", ENTRIES)


MAPS = st.builds(
    Map, st.integers(1, 3), st.integers(1, 7), st.integers(1, 2 * W + 3), st.integers(0, 2)
)
BATCHES = st.integers(1, 2 * W + 1)


def drawn(seed: int, batch: int, layout: Map) -> torch.Tensor:
    shape = (batch, layout.channels, layout.height, layout.width)
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@given(MAPS, BATCHES, st.booleans())
@settings(deadline=None)
def test_images_to_a_buffer(layout, batch, accumulate):
    images = drawn(0, batch, layout)
    full = -(-batch // W) * W  # examples that were in the buffer before
    before = drawn(1, batch if accumulate else full, layout)
    buffer = layout.pack(before)
    images_to_map(layout.dims, batch, images.view(-1).numpy(), buffer, accumulate)
    expected = images + before if accumulate else images
    np.testing.assert_array_equal(buffer, layout.pack(expected))  # borders and empty elements too


@given(MAPS, BATCHES, st.booleans())
@settings(deadline=None)
def test_a_buffer_to_images(layout, batch, accumulate):
    inside, before = drawn(0, batch, layout), drawn(1, batch, layout)
    images = before.clone()
    map_to_images(layout.dims, batch, layout.pack(inside), images.view(-1).numpy(), accumulate)
    assert torch.equal(images, inside + before if accumulate else inside)
