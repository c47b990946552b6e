"""Splits as kernels take them. Kernels check no bounds, so what they index with is checked here."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.engine.base import Split
from winnow.errors import UserError


def index_of(split: Split) -> NDArray[np.int64]:
    """The numbers of a split's images."""
    index = np.ascontiguousarray(split.index.cpu().numpy(), np.int64)
    count = len(split.in_memory)
    assert len(split.labels) == count, "as many labels as images"
    assert not len(index) or 0 <= index.min() <= index.max() < count, "an index out of range"
    return index


def labels_of(split: Split, classes: int) -> NDArray[np.int64]:
    """The labels of all images; UserError where one has no output."""
    labels = split.labels.cpu().to(torch.int64).contiguous()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(
            f"labels go from {int(labels.min())} to {int(labels.max())}, but the network has "
            f"{classes} outputs: they must be from 0 to {classes - 1}"
        )
    return labels.numpy()


def pixels_of(split: Split) -> NDArray[np.uint8]:
    """The bytes of all images, flat, where they lie."""
    pixels: NDArray[np.uint8] = split.in_memory.cpu().contiguous().view(-1).numpy()
    return pixels
