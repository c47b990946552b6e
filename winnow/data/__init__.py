"""Datasets as decoded uint8 tensors or as files, splits, orders of batches, augmentation.

Importing this package, or ``winnow.data.facts``, imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from winnow.data.facts import dataset_names, facts

if TYPE_CHECKING:
    from winnow.data.folder import FolderImages
    from winnow.data.hub import Unreachable
    from winnow.data.images import Images
    from winnow.data.loading import dataset_content, load_dataset, load_images

__all__ = [
    "FolderImages",
    "Images",
    "Unreachable",
    "dataset_content",
    "dataset_names",
    "facts",
    "load_dataset",
    "load_images",
]

_HOMES = {
    "FolderImages": "folder",
    "Images": "images",
    "Unreachable": "hub",
    "dataset_content": "loading",
    "load_dataset": "loading",
    "load_images": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
