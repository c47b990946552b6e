"""From rows of encoded images (PNG, JPEG) and labels to one uint8 array, each decoded once.

One thread: for images this small the overhead in Python dominates, and a pool of threads was
measured to be slower (10,000 CIFAR images on two cores: 0.7 s alone, 1.0 to 1.3 s in a pool).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from winnow.data.facts import Facts
from winnow.data.pictures import opened_picture
from winnow.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

ROWS = 1000  # rows of one batch of a source


def decode(tables: Iterable[Any], facts: Facts, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode batches (Arrow tables) into images uint8 (N, C, H, W) and labels int64 (N,).

    ``where`` names the file or hub split in errors. Raises UserError with the row (from 0) for an
    image that is no PNG or JPEG, cannot be decoded or has another size or colour mode, and for a
    label that is missing or out of range; also when a column is missing or there are no rows.
    """
    images: list[np.ndarray[Any, Any]] = []
    labels: list[np.ndarray[Any, Any]] = []
    row = 0
    for table in tables:
        encoded = enumerate(_encoded(table, facts, where))
        if len(table):
            images.append(np.stack([_pixels(value, facts, where, row + i) for i, value in encoded]))
        labels.append(_labels(table, facts, where, row))
        row += len(table)
    if not images:
        raise UserError(f"{where}: there are no rows; get a complete copy of {facts.name}")
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels))


def at_most(rows: int, tables: Iterable[Any], facts: Facts, where: str) -> Iterator[Any]:
    """The tables; UserError where they have more than ``rows`` rows together."""
    before = 0
    for table in tables:
        if before + len(table) > rows:
            raise UserError(
                f"{where}, row {rows}: {facts.name} has {facts.train_size} training and "
                f"{facts.test_size} test images, and with this row there are more. Are some of its "
                "files there twice?"
            )
        yield table
        before += len(table)


def _encoded(table: Any, facts: Facts, where: str) -> Iterator[bytes | None]:
    """One after the other: a file may hold a value once for many rows."""
    values = table.column(_column(table, facts.image_columns, "image", where))

    def each() -> Iterator[bytes | None]:
        for value in values:
            plain = value.as_py()
            yield plain.get("bytes") if isinstance(plain, dict) else plain

    return each()


def _column(table: Any, candidates: tuple[str, ...], kind: str, where: str) -> str:
    for name in candidates:
        if (times := table.column_names.count(name)) > 1:
            raise UserError(f"{where}: {times} columns are called {name}; leave one")
        if times:
            return name
    raise UserError(
        f"{where}: no {kind} column: its columns are {', '.join(table.column_names)}; "
        f"one must be called {' or '.join(candidates)}"
    )


def _labels(table: Any, facts: Facts, where: str, first: int) -> np.ndarray[Any, Any]:
    name = _column(table, facts.label_columns, "label", where)
    values = []
    for index, scalar in enumerate(table.column(name)):
        value = scalar.as_py()
        if type(value) is not int or not 0 <= value < facts.classes:
            raise UserError(
                f"{where}, row {first + index}: the label is {_short(value)}; {facts.name} has "
                f"labels 0 to {facts.classes - 1}. Get an undamaged copy."
            )
        values.append(value)
    return np.array(values, dtype=np.int64)


def _pixels(encoded: bytes | None, facts: Facts, where: str, row: int) -> np.ndarray[Any, Any]:
    """One image as uint8 (C, H, W)."""
    if not isinstance(encoded, bytes):
        raise UserError(f"{where}, row {row}: there is no image in this row. Get a complete copy.")
    with opened_picture(io.BytesIO(encoded), f"{where}, row {row}: the image") as image:
        _check_image(image, facts, where, row)
        wanted = "L" if facts.shape[0] == 1 else "RGB"
        pixels = np.asarray(image.convert(wanted))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_image(image: Image, facts: Facts, where: str, row: int) -> None:
    channels, height, width = facts.shape
    modes = ("L",) if channels == 1 else ("RGB", "L") if facts.grey_becomes_rgb else ("RGB",)
    if image.size != (width, height) or image.mode not in modes:
        raise UserError(
            f"{where}, row {row}: the image is {image.width}x{image.height} pixels in mode "
            f"{image.mode}; {facts.name} has {width}x{height} in mode {' or '.join(modes)}. "
            "Get an unchanged copy."
        )


def _short(value: object) -> str:
    written = repr(value)
    return written if len(written) < 60 else f"{written[:59]}…"


def reason(error: Exception) -> str:
    """An error of another library in one short line: its kind and the first line of its text."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text[:200].rstrip(".")
