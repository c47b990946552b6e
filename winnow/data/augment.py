"""Random flips and crops of whole batches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from winnow.errors import UserError

PAD = 4
"""Pixels on each side, by which images are shifted at most."""


def draw_flip_crop(
    count: int, pad: int, generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """What `flip_crop` draws for ``count`` images: which are mirrored, rows and columns (count,).

    Row and column, from 0 to 2·pad, are where the crop begins in the padded image.
    """
    flips = generator.random(count) < 0.5
    rows, columns = generator.integers(0, 2 * pad + 1, size=(2, count))
    return flips, rows, columns


def flip_crop(x: torch.Tensor, generator: np.random.Generator, pad: int = PAD) -> torch.Tensor:
    """Mirror half of the images, and shift each by up to ``pad`` pixels; uint8 (B, C, H, W).

    He et al. 2016, section 4.2: pad ``pad`` pixels on each side, take a random crop of the old
    size, from the padded image or its mirror image. Each image draws its own flip (p = 1/2) and
    offsets (uniform). Padded pixels are black, as in the usual code (0 before normalisation);
    padding after the normalisation, with the mean colour, would be another choice.
    Raises UserError for a negative ``pad`` or a tensor of another type.
    """
    if x.dtype != torch.uint8 or x.ndim != 4 or pad < 0:
        raise UserError(
            f"flip_crop takes uint8 images (B, C, H, W) and pad >= 0; "
            f"given {x.dtype} {tuple(x.shape)} and pad={pad}"
        )
    flips, down, right = map(torch.from_numpy, draw_flip_crop(len(x), pad, generator))
    return flipped_and_cropped(x, flips, down, right, pad)


def flipped_and_cropped(
    x: torch.Tensor, flips: torch.Tensor, down: torch.Tensor, right: torch.Tensor, pad: int
) -> torch.Tensor:
    """The images (B, C, H, W) as `draw_flip_crop` drew for each (B,).

    The draws may be on the images' device or on the host.
    """
    b, _, h, w = x.shape
    columns = torch.arange(w, device=flips.device).expand(b, w)
    columns = torch.where(flips[:, None], columns.flip(1), columns) + right[:, None]  # (B, W)
    rows = torch.arange(h, device=down.device) + down[:, None]  # (B, H)
    rows, columns = rows.to(x.device), columns.to(x.device)
    padded = F.pad(x, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    images = torch.arange(b, device=x.device)[:, None, None]
    return padded[images, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
