"""A decoded dataset: four tensors and what is needed to use them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

Arrays = dict[str, torch.Tensor]  # the four arrays of ``Images`` by name

ARRAYS = ("train_x", "train_y", "test_x", "test_y")


@dataclass(frozen=True, eq=False)
class Images:
    """A dataset in memory. The tensors may be shared with the cache file: do not write to them.

    ``mean`` and ``std``: one number per channel, in units of the stored uint8 values (not of
    0..1). ``content``: SHA-256 of the four arrays, in hex. ``source``: where they came from.
    """

    name: str
    train_x: torch.Tensor  # uint8 (N, C, H, W); of one's own data also float32
    train_y: torch.Tensor  # int64 (N,)
    test_x: torch.Tensor  # (M, C, H, W), the same type
    test_y: torch.Tensor  # int64 (M,)
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    content: str
    source: str

    @property
    def inputs(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        _, channels, height, width = self.train_x.shape
        return channels, height, width


def content_hash(arrays: Arrays) -> str:
    """SHA-256, in hex, of the names, types, shapes and bytes of the four arrays."""
    digest = hashlib.sha256()
    for name in ARRAYS:
        array = arrays[name].contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.data)
    return digest.hexdigest()
