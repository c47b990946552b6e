from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_folders import Folder, png, random_pixels, write_parquet


@pytest.fixture
def make_folder(tmp_path: Path) -> Folder:
    """Write ``<tmp>/root/<folder>/data/*.parquet`` and return what was written."""

    def make(
        folder: str = "mnist",
        shape: tuple[int, int, int] = (1, 28, 28),
        columns: tuple[str, str] = ("image", "label"),
        test_split: str = "test",
        seed: int = 0,
    ) -> dict[str, np.ndarray[Any, Any]]:
        train, test = random_pixels(seed, 30, shape), random_pixels(seed + 1, 12, shape)
        labels = np.arange(30) % 10, np.arange(12) % 10
        data = tmp_path / "root" / folder / "data"
        for shard, rows in enumerate([slice(0, 20), slice(20, 30)]):
            path = data / f"train-0000{shard}-of-00002.parquet"
            write_parquet(path, [png(p) for p in train[rows]], labels[0][rows].tolist(), columns)
        path = data / f"{test_split}-00000-of-00001.parquet"
        write_parquet(path, [png(p) for p in test], labels[1].tolist(), columns)
        return {"train_x": train, "train_y": labels[0], "test_x": test, "test_y": labels[1]}

    return make
