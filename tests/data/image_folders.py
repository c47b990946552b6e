"""Small datasets of real encoded images in the hub's layout."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Folder = Callable[..., dict[str, np.ndarray[Any, Any]]]


def png(pixels: np.ndarray[Any, Any], mode: str | None = None) -> bytes:
    """Pixels (H, W) or (H, W, 3) as a PNG, in another colour mode if asked."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    path: Path, encoded: list[Any], labels: list[Any], columns: tuple[str, str] = ("image", "label")
) -> None:
    """One file with the hub's two columns: {bytes, path} and a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": item, "path": None} for item in encoded]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({columns[0]: pa.array(images, kind), columns[1]: pa.array(labels, pa.int64())})
    pq.write_table(table, path)


def random_pixels(seed: int, count: int, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """uint8 (N, H, W) when shape = (1, H, W), else (N, H, W, 3)."""
    channels, height, width = shape
    size = (count, height, width) if channels == 1 else (count, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
