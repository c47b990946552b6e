"""Where the activations of convolutions lie in memory: W examples side by side.

A group is W examples of a batch. A map lies as (groups, channels, height + 2·border,
width + 2·border, W): the pixel of W examples fills one vector, and a convolution is a product with
that vector whatever the position, so kernels know no images, only offsets between vectors. The
border holds zeros and nothing writes it: padding costs no branch. A linear layer's features are a
map of 1x1 pixels without border.

Where the last group has fewer than W examples, its other elements hold 0 in every activation and
in every gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from winnow.kernels.arrays import Floats, Int64s, aligned
from winnow.kernels.simd import W


def group_count(batch: int) -> int:
    """How many groups hold a batch."""
    return -(-batch // W)


@dataclass(frozen=True)
class Map:
    """The shape of an activation of one example, and its border. Steps are counted in floats."""

    channels: int
    height: int = 1
    width: int = 1
    border: int = 0

    @property
    def pixel(self) -> int:
        """From a pixel to the next of its row."""
        return W

    @property
    def row(self) -> int:
        """From a row to the next."""
        return (self.width + 2 * self.border) * W

    @property
    def plane(self) -> int:
        """From a channel to the next."""
        return (self.height + 2 * self.border) * self.row

    @property
    def group(self) -> int:
        """From a group to the next: the floats of W examples."""
        return self.channels * self.plane

    @property
    def origin(self) -> int:
        """Where pixel (0, 0) of channel 0 lies; (−border, −border) lies at 0."""
        return self.border * (self.row + self.pixel)

    @property
    def dims(self) -> Int64s:
        """channels, height, width, border: a map as kernels take it."""
        return np.array([self.channels, self.height, self.width, self.border], np.int64)

    def zeros(self, batch: int) -> Floats:
        """A buffer for a batch, flat, all zeros."""
        return aligned(group_count(batch) * self.group, 0.0)

    def pack(self, x: Tensor) -> Floats:
        """A new buffer with the activations (B, C, H, W) or (B, C). Slow: for tests and setup."""
        buffer = self.zeros(len(x))
        inside = self._inside(buffer)
        images = x.detach().to(torch.float32).reshape(len(x), *inside.shape[1:4]).numpy()
        for i, image in enumerate(images):
            inside[i // W, ..., i % W] = image
        return buffer

    def unpack(self, buffer: Floats, batch: int) -> Tensor:
        """The activations (batch, C, H, W) of a buffer. Slow: for tests and setup."""
        inside = np.moveaxis(self._inside(buffer), -1, 1)
        images = inside.reshape(-1, *inside.shape[2:])[:batch]
        return torch.from_numpy(np.ascontiguousarray(images))

    def _inside(self, buffer: Floats) -> Floats:
        """The buffer (groups, C, height, width, W), a view without the border."""
        b, wide = self.border, self.width + 2 * self.border
        whole = buffer.reshape(-1, self.channels, self.height + 2 * b, wide, W)
        return whole[:, :, b : b + self.height, b : b + self.width]
