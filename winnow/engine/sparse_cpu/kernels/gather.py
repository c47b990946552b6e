"""From bytes of images, one after the other, to a map of normalised pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.kernels.map_steps import map_steps
from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.kernels.arrays import Floats, Int64s, Values
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W, put, scalar


@kernel
def gather_images(
    dims: Int64s,
    pixels: NDArray[np.uint8],
    examples: Int64s,
    scale: Floats,
    shift: Floats,
    flips: NDArray[np.bool_],
    rows: Int64s,
    columns: Int64s,
    pad: int,
    x: Values,
) -> None:
    """x = pixels[examples] · scale + shift, mirrored and shifted as `flip_crop` does.

    pixels (N · C · H · W,), the map's shape; examples (B,); scale, shift (C,). ``flips``, ``rows``
    and ``columns`` (B,) are what `winnow.data.augment.draw_flip_crop` gives for ``pad``; all empty:
    images as they are. Black around an image is the pixel 0. Elements without example become 0.
    """
    channels, height, width = dims[0], dims[1], dims[2]
    row, plane, _, origin = map_steps(dims)
    for p in range((examples.size + W - 1) // W * channels):
        c = p % channels
        for i in range(height):
            at = origin + p * plane + i * row
            for element in range(W):
                k = p // channels * W + element
                if k >= examples.size:
                    _fill(x, at + element, 0, width, np.float32(0))
                    continue
                down, right, mirrored = 0, 0, False
                if flips.size > 0:
                    down, right, mirrored = rows[k] - pad, columns[k] - pad, flips[k]
                begin, end = max(-right, 0), min(width - right, width)
                if mirrored:
                    begin, end = width - end, width - begin
                if i + down < 0 or i + down >= height or end < begin:
                    begin, end = 0, 0
                black = np.float32(0) * scale[c] + shift[c]
                _fill(x, at + element, 0, begin, black)
                _fill(x, at + element, end, width, black)
                start = ((examples[k] * channels + c) * height + i + down) * width + right
                if mirrored:
                    for j in range(begin, end):
                        pixel = np.float32(scalar(pixels, start + width - 1 - j))
                        put(x, at + j * W + element, pixel * scale[c] + shift[c])
                else:
                    for j in range(begin, end):
                        pixel = np.float32(scalar(pixels, start + j))
                        put(x, at + j * W + element, pixel * scale[c] + shift[c])


@kernel
def _fill(x: Values, at: int, begin: int, end: int, value: np.float32) -> None:
    """Set pixels ``begin`` to ``end`` of one example's row."""
    for j in range(begin, end):
        put(x, at + j * W, value)


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    floats, numbers = types.float32[::1], types.int64[::1]
    images = (numbers, types.uint8[::1], numbers, floats, floats)
    moves = (types.boolean[::1], numbers, numbers, types.int64)
    return (EntryPoint(gather_images, (*images, *moves, maps), kind),)


ENTRIES, ENTRIES_BF16 = for_both(_entries)
