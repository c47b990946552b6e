"""The gather of images against flip_crop and the dense engine's normalisation.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow import rng
from winnow.data.augment import draw_flip_crop, flip_crop
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.kernels.gather import ENTRIES, gather_images
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W

IMAGES = 40
NO_AUGMENTATION = (np.empty(0, np.bool_), np.empty(0, np.int64), np.empty(0, np.int64))


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    prepare("gather", ENTRIES)


@st.composite
def cases(draw):
    """Images, the numbers of a batch, the map, scale and shift of its channels."""
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 2 * W + 3))
    values = np.random.default_rng(draw(st.integers(0, 99)))
    images = values.integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
    examples = values.integers(0, IMAGES, draw(st.integers(1, 2 * W + 1)))
    scale, shift = values.normal(size=(2, shape[0])).astype(np.float32)
    return torch.from_numpy(images), examples, Map(*shape, draw(st.integers(0, 2))), scale, shift


def normalised(images: torch.Tensor, scale, shift) -> torch.Tensor:
    """As the dense engine does."""
    scale, shift = (torch.from_numpy(v).view(-1, 1, 1) for v in (scale, shift))
    return images.to(torch.float32).mul_(scale).add_(shift)


def used_buffer(layout: Map, batch: int):
    """A buffer in which another batch has been, as long as the last group allows."""
    full = -(-batch // W) * W
    return layout.pack(torch.full((full, layout.channels, layout.height, layout.width), 7.0))


@given(cases())
@settings(deadline=None)
def test_images_as_they_are(case):
    images, examples, layout, scale, shift = case
    x = used_buffer(layout, len(examples))
    pixels = images.view(-1).numpy()
    gather_images(layout.dims, pixels, examples, scale, shift, *NO_AUGMENTATION, 4, x)
    expected = normalised(images[examples], scale, shift)
    np.testing.assert_array_equal(x, layout.pack(expected))  # borders and empty elements too


@given(cases(), st.integers(0, 10), st.integers(0, 99))
@settings(deadline=None)
def test_augmented_images_are_those_of_flip_crop(case, pad, seed):
    images, examples, layout, scale, shift = case
    x = used_buffer(layout, len(examples))
    drawn = draw_flip_crop(len(examples), pad, rng.stream(seed, "augment"))
    gather_images(layout.dims, images.view(-1).numpy(), examples, scale, shift, *drawn, pad, x)
    cropped = flip_crop(images[examples], rng.stream(seed, "augment"), pad)
    np.testing.assert_array_equal(x, layout.pack(normalised(cropped, scale, shift)))
