"""Between tensors (B, C, H, W) as torch has them, flat, and buffers of a map."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.layout import steps
from winnow.kernels.arrays import Floats
from winnow.kernels.cache import Entry, kernel
from winnow.kernels.simd import W, read


@kernel
def pack(
    dims: NDArray[np.int64], batch: int, images: Floats, out: Floats, accumulate: bool
) -> None:
    """Images to a buffer, or added to it. Lanes without example become 0, or stay as they are."""
    channels, height, width = dims[0], dims[1], dims[2]
    row, plane, _, origin = steps(dims)
    for p in range((batch + W - 1) // W * channels):
        group, channel = p // channels, p % channels
        for i in range(height):
            at = origin + p * plane + i * row
            for lane in range(W):
                example = group * W + lane
                if example < batch:
                    start = ((example * channels + channel) * height + i) * width
                    for j in range(width):
                        value = read(images, start + j)
                        if accumulate:
                            value += out[at + j * W + lane]
                        out[at + j * W + lane] = value
                elif not accumulate:
                    for j in range(width):
                        out[at + j * W + lane] = np.float32(0)


@kernel
def unpack(
    dims: NDArray[np.int64], batch: int, x: Floats, images: Floats, accumulate: bool
) -> None:
    """A buffer to images, or added to them."""
    channels, height, width = dims[0], dims[1], dims[2]
    row, plane, _, origin = steps(dims)
    for p in range((batch + W - 1) // W * channels):
        group, channel = p // channels, p % channels
        for i in range(height):
            at = origin + p * plane + i * row
            for lane in range(min(W, batch - group * W)):
                start = (((group * W + lane) * channels + channel) * height + i) * width
                for j in range(width):
                    value = read(x, at + j * W + lane)
                    if accumulate:
                        value += images[start + j]
                    images[start + j] = value


_floats = types.float32[::1]
_arguments = (types.int64[::1], types.int64, _floats, _floats, types.boolean)
ENTRIES = (Entry(pack, _arguments), Entry(unpack, _arguments))
