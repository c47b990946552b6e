"""A small folder of JPEG images, made from a fixed seed: for tests of what reads image files.

Four classes of textures, of which a network learns to tell most apart within a few dozen steps.
Most images are squares of 64 pixels. Some are wider or higher, and one of each class is grey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow import files, rng
from winnow.errors import UserError
from winnow.locks import lock_when_free

GENERATED = "generated-images"
_VERSION = 1  # raised when other images are made
_COUNTS = {"train": 48, "val": 16}  # images of a class
_SIDE = 64
_QUALITY = 90

_Field = NDArray[np.float64]
_TEXTURES: Mapping[str, Callable[[_Field, _Field], _Field]] = {  # class -> f(row, column), 0 to 1
    "bars": lambda v, _: (1 + np.sin(v)) / 2,
    "checks": lambda v, u: (1 + np.sin(v) * np.sin(u)) / 2,
    "posts": lambda _, u: (1 + np.sin(u)) / 2,
    "rings": lambda v, u: (1 + np.sin(np.hypot(v, u))) / 2,
}


def generated_folder(cache: Path) -> Path:
    """The folder, with ``train`` and ``val``; made in ``cache`` the first time, whole or not at
    all. UserError: it cannot be written.
    """
    folder = cache / "data" / f"{GENERATED}-{_VERSION}"
    if folder.is_dir():
        return folder
    try:
        files.make_folder(folder.parent)
        with lock_when_free(folder.with_name(f".{folder.name}.lock"), f"data {GENERATED}"):
            if not folder.is_dir():
                with files.whole_folder(folder) as temporary:
                    _write(temporary)
    except OSError as error:
        raise UserError(
            f"{GENERATED} cannot be written to {folder.parent} ({error}): set WINNOW_CACHE to a "
            "folder that can be"
        ) from error
    return folder


def _write(folder: Path) -> None:
    from PIL import Image

    for split, count in _COUNTS.items():
        for label, name in enumerate(_TEXTURES):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(_pixels(split, label, number))
                if number == 0:
                    image = image.convert("L")
                image.save(folder / split / name / f"{name}_{number}.JPEG", quality=_QUALITY)


def _pixels(split: str, label: int, number: int) -> NDArray[np.uint8]:
    """One image (H, W, 3): a texture between two random colours, with noise."""
    generator = rng.stream(0, GENERATED, split, label, number)
    width, height = _sides(number)
    y, x = np.mgrid[0:height, 0:width] - np.array([height, width])[:, None, None] / 2
    texture = list(_TEXTURES.values())[label]
    period, phase = generator.uniform(6, 12), generator.uniform(0, 2 * np.pi, 2)
    waves = texture(2 * np.pi * y / period + phase[0], 2 * np.pi * x / period + phase[1])
    dark, bright = generator.uniform(0, 110, 3), generator.uniform(145, 255, 3)
    image = dark + (bright - dark) * waves[:, :, None] + generator.normal(0, 12, (*y.shape, 3))
    return np.clip(image, 0, 255).round().astype(np.uint8)


def _sides(number: int) -> tuple[int, int]:
    """Width and height: every eighth image is wider than high, every eighth higher than wide."""
    more = _SIDE + 4 + number // 8
    return {1: (more, _SIDE), 2: (_SIDE, more)}.get(number % 8, (_SIDE, _SIDE))
