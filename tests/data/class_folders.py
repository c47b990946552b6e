"""Folders of small image files, one for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A smooth RGB image, which JPEG keeps nearly as it is, with noise."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(draws.random() * 6 + x / 9 * draws.random() + y / 7) for _ in "rgb"]
    noise = draws.normal(0, 5, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(waves, 2) + noise, 0, 255).astype(np.uint8))


def write_classes(folder: Path, classes: Mapping[str, Sequence[str]], side: int = 20) -> None:
    """``folder``/CLASS/NAME for the names of each class, every image another one."""
    seed = 0
    for name, files in classes.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            picture(seed, side, side).convert("RGB").save(folder / name / file)
            seed += 1
