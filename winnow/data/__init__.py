"""Datasets as decoded uint8 tensors, splits, orders of batches, augmentation.

Importing this package, or ``winnow.data.facts``, imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from winnow.data.facts import dataset_names, facts

if TYPE_CHECKING:
    from winnow.data.hub import Unreachable
    from winnow.data.images import Images
    from winnow.data.loading import dataset_content, load_images

__all__ = ["Images", "Unreachable", "dataset_content", "dataset_names", "facts", "load_images"]

_HOMES = {
    "Images": "images",
    "Unreachable": "hub",
    "dataset_content": "loading",
    "load_images": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
