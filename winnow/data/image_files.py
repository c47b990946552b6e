"""Images that stay in their files: read by several threads, as uint8 squares of one size.

Threads, not processes: Pillow reads and resizes without Python's lock, of 2.9 ms for an image of
500x375 (to 224x224) all but 0.4, so that they keep some seven cores busy. Two processes were not
faster than two threads on two cores (each 350 to 420 images a second while others used the cores,
too). They need no copies between processes, and end with their process.

What is read depends on an image's file, the size and what was drawn for it: never on how many
threads read, nor on the order in which they do.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.data.crops import CropDraws, central_box, crop_box, scaled_sides
from winnow.data.listing import Listing
from winnow.data.pictures import opened_picture
from winnow.errors import UserError
from winnow.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

READERS = "WINNOW_READERS"
"""The environment's variable for the number of threads; it changes no number of any result."""

Coming = Callable[[], torch.Tensor]
"""Waits for images that are being read and gives them, uint8 (B, 3, S, S). UserError, as `read`."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The images of a split, as networks get them: RGB squares of ``size`` pixels a side."""

    listing: Listing
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W), as that of a tensor which holds them all."""
        return len(self.listing), 3, self.size, self.size

    def read(self, images: NDArray[np.int64], draws: CropDraws | None = None) -> torch.Tensor:
        """The images of these numbers, uint8 (B, 3, S, S).

        ``draws``: what is drawn for each, for a random part of it (`crop_box`), resized and maybe
        mirrored. None: its shorter side is resized and the central square cut out. Both by
        bilinear interpolation with antialiasing. Raises UserError, naming the file: it is gone,
        or no image, or damaged.
        """
        return self.start(images, draws)()

    def start(self, images: NDArray[np.int64], draws: CropDraws | None = None) -> Coming:
        """Begin to read; see `read`."""
        out = torch.empty((len(images), *self.shape[1:]), dtype=torch.uint8)
        pixels: NDArray[np.uint8] = out.numpy()

        def one(at: int, image: int) -> None:
            part = None if draws is None else (draws.attempts[at], bool(draws.flips[at]))
            pixels[at] = read_square(self.listing.path(image), self.size, part)

        pool = _pool(readers())
        begun = [pool.submit(one, at, int(image)) for at, image in enumerate(images)]

        def coming() -> torch.Tensor:
            for read in begun:  # in their order, so that of two damaged files always one is named
                read.result()
            return out

        return coming


def read_square(
    path: Path, size: int, part: tuple[NDArray[np.float64], bool] | None = None
) -> NDArray[np.uint8]:
    """An image as uint8 (3, ``size``, ``size``), whatever its colour mode is.

    JPEG or PNG, whatever its name says: ImageNet has a PNG among its .JPEG files.
    ``part``: the draws of `crop_box` and whether it is mirrored; None for the central square.
    Orientations that a camera has noted are not followed, as in the usual code for ImageNet.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise UserError(f"{path} is gone: put it back, or run the command again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    with file, opened_picture(file, str(path)) as image:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        square = _central(rgb, size) if part is None else _random(rgb, size, part[0])
        pixels: NDArray[np.uint8] = np.asarray(square).transpose(2, 0, 1)
    return pixels[:, :, ::-1] if part is not None and part[1] else pixels


def _central(image: Image, size: int) -> Image:
    from PIL.Image import Resampling

    sides = scaled_sides(*image.size, size)
    return image.resize(sides, Resampling.BILINEAR).crop(central_box(*sides, size))


def _random(image: Image, size: int, attempts: NDArray[np.float64]) -> Image:
    from PIL.Image import Resampling

    box = crop_box(attempts, *image.size)
    return image.crop(box).resize((size, size), Resampling.BILINEAR)


def decoder() -> str:
    """What decodes here, with versions: others may read some pixels otherwise in their last bit."""
    from PIL import __version__, features

    return f"pillow {__version__}, libjpeg {features.version('libjpeg_turbo') or 'other'}"


def readers() -> int:
    """How many threads read: $WINNOW_READERS, else the number of cores. UserError: no number."""
    written = os.environ.get(READERS)
    if written is None:
        return os.cpu_count() or 1
    if not written.isdecimal() or int(written) < 1:
        raise UserError(f"{READERS} is {written!r}: write a number of threads, at least 1")
    return int(written)


@functools.cache
def _pool(count: int) -> ThreadPoolExecutor:
    """The threads of this process, which all splits share.

    Pillow registers its formats when they are first needed, which is not made for several threads.
    """
    from PIL import Image

    Image.preinit()
    return ThreadPoolExecutor(count, "winnow-reader")
