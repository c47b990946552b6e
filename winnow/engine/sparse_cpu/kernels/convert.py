"""Between tensors (B, C, H, W) as torch has them, flat, and buffers of a map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from winnow.engine.sparse_cpu.kernels.map_steps import map_steps
from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.kernels.arrays import Floats, Int64s, Values
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W, put, scalar


@kernel
def images_to_map(dims: Int64s, batch: int, images: Floats, out: Values, accumulate: bool) -> None:
    """Images to a buffer, or added to it. Elements without example become 0, or stay."""
    channels, height, width = dims[0], dims[1], dims[2]
    row, plane, _, origin = map_steps(dims)
    for p in range((batch + W - 1) // W * channels):
        group, channel = p // channels, p % channels
        for i in range(height):
            at = origin + p * plane + i * row
            for element in range(W):
                example = group * W + element
                if example < batch:
                    start = ((example * channels + channel) * height + i) * width
                    for j in range(width):
                        value = scalar(images, start + j)
                        if accumulate:
                            value += scalar(out, at + j * W + element)
                        put(out, at + j * W + element, value)
                elif not accumulate:
                    for j in range(width):
                        put(out, at + j * W + element, np.float32(0))


@kernel
def map_to_images(dims: Int64s, batch: int, x: Values, images: Floats, accumulate: bool) -> None:
    """A buffer to images, or added to them."""
    channels, height, width = dims[0], dims[1], dims[2]
    row, plane, _, origin = map_steps(dims)
    for p in range((batch + W - 1) // W * channels):
        group, channel = p // channels, p % channels
        for i in range(height):
            at = origin + p * plane + i * row
            for element in range(min(W, batch - group * W)):
                start = (((group * W + element) * channels + channel) * height + i) * width
                for j in range(width):
                    value = scalar(x, at + j * W + element)
                    if accumulate:
                        value += images[start + j]
                    images[start + j] = value


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    sizes, images = (types.int64[::1], types.int64), types.float32[::1]
    return (
        EntryPoint(images_to_map, (*sizes, images, maps, types.boolean), kind),
        EntryPoint(map_to_images, (*sizes, maps, images, types.boolean), kind),
    )


ENTRIES, ENTRIES_BF16 = for_both(_entries)
