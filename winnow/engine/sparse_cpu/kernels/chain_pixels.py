"""From bytes of images, one after the other, to a tile of normalised features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.kernels.arrays import Floats, Int64s
from winnow.kernels.compile import kernel
from winnow.kernels.simd import TILE, W, prefetch
from winnow.kernels.transpose import transpose_bytes


class FlatImages(NamedTuple):
    """Images (N, F) as they lie in memory, their labels, and the normalisation of each feature.

    ``factor``: what each image is multiplied by after that; empty for 1.
    """

    pixels: NDArray[np.uint8]  # (N · F,)
    labels: Int64s  # (N,)
    scale: Floats  # (F,)
    shift: Floats  # (F,)
    factor: Floats  # (N,) or (0,)


@kernel
def gather_tile(images: FlatImages, examples: Int64s, starts: Int64s, x: Floats) -> None:
    """x[f, i] = (pixels[e, f] · scale[f] + shift[f]) · factor[e], e the i-th of at most TILE
    examples.

    x (F + 1, TILE). The first example fills the places that are left over: what it computes
    there is finite whenever the batch is. ``starts`` (TILE,) is scratch.
    """
    normalise_tile(images, examples, starts, x)
    if images.factor.size > 0:
        for f in range(images.scale.size):
            for i in range(TILE):
                x[f * TILE + i] *= images.factor[examples[i if i < examples.size else 0]]


@kernel
def normalise_tile(images: FlatImages, examples: Int64s, starts: Int64s, x: Floats) -> None:
    """x[f, i] = pixels[examples[i], f] · scale[f] + shift[f]."""
    features = images.scale.size
    for i in range(TILE):
        starts[i] = examples[i if i < examples.size else 0] * features
    if features < W:
        for f in range(features):
            for i in range(TILE):
                pixel = np.float32(images.pixels[starts[i] + f])
                x[f * TILE + i] = pixel * images.scale[f] + images.shift[f]
        return
    f = 0
    while f < features:
        f = min(f, features - W)  # the last block may overlap the one before
        for i in range(0, TILE, W):
            transpose_bytes(
                images.pixels,
                starts,
                i,
                f,
                images.scale,
                images.shift,
                x,
                f * TILE + i,
                TILE,
            )
        f += W


@kernel
def fetch_ahead(images: FlatImages, examples: Int64s) -> None:
    """Ask for the pixels of the examples of a later step: they lie anywhere in memory."""
    features = images.scale.size
    for i in range(examples.size):
        for f in range(0, features, 64):
            prefetch(images.pixels, examples[i] * features + f)
