"""Which part of an image a network gets: random in training, central otherwise.

Pure functions of drawn numbers and of an image's width and height. Boxes are (left, top, right,
bottom) in pixels, right and bottom excluded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]

AREAS = (0.08, 1.0)  # of the image
SHAPES = (3 / 4, 4 / 3)  # width / height
ATTEMPTS = 10
_WHOLE, _PART = 256, 224  # in the usual evaluation: the shorter side, and the square in its centre


@dataclass(frozen=True)
class CropDraws:
    """What `crop_box` is made from, of B images: whether they are mirrored (B,), and uniform
    numbers in [0, 1) for each attempt's area, shape, row and column (B, `ATTEMPTS`, 4).
    """

    flips: NDArray[np.bool_]
    attempts: NDArray[np.float64]


def draw_crops(count: int, generator: np.random.Generator) -> CropDraws:
    """The draws of ``count`` images. An image's size is not known yet, and takes no draws away."""
    flips = generator.random(count) < 0.5
    return CropDraws(flips, generator.random((count, ATTEMPTS, 4)))


def crop_box(attempts: NDArray[np.float64], width: int, height: int) -> Box:
    """The random part of an image, from its draws (`ATTEMPTS`, 4).

    Szegedy et al. 2015, section 6: an area of 8 to 100 % of the image, width by height between 3/4
    and 4/3. As in the usual code for ImageNet the area is uniform, the logarithm of the shape is
    uniform, sides are rounded, every place is equally likely, the first of ten attempts that fits
    is taken, and if none does the largest central part of an allowed shape.
    """
    low, high = math.log(SHAPES[0]), math.log(SHAPES[1])
    for area, shape, down, right in attempts.tolist():
        pixels = width * height * (AREAS[0] + area * (AREAS[1] - AREAS[0]))
        ratio = math.exp(low + shape * (high - low))
        w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(right * (width - w + 1)), int(down * (height - h + 1))
            return left, top, left + w, top + h
    return largest_box(width, height)


def largest_box(width: int, height: int) -> Box:
    """The largest central part of an image whose shape is within `SHAPES`."""
    w = min(width, max(1, round(height * SHAPES[1])))
    h = min(height, max(1, round(width / SHAPES[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def scaled_sides(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height of an image whose shorter side becomes round(``size`` · 256 / 224).

    The longer side is cut to whole pixels, as in the usual code for ImageNet.
    """
    short = round(size * _WHOLE / _PART)
    if width <= height:
        return short, short * height // width
    return short * width // height, short


def central_box(width: int, height: int, size: int) -> Box:
    """The square of ``size`` pixels in the centre of an image that is at least as large."""
    left, top = round((width - size) / 2), round((height - size) / 2)
    return left, top, left + size, top + size
