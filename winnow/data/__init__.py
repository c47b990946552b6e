"""Datasets as decoded uint8 tensors, splits, orders of batches, augmentation.

Importing this package, or ``winnow.data.facts``, imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from winnow.data.facts import facts, names

if TYPE_CHECKING:
    from winnow.data.hub import Unreachable
    from winnow.data.images import Images
    from winnow.data.loading import content_of, load

__all__ = ["Images", "Unreachable", "content_of", "facts", "load", "names"]

_HOMES = {"Images": "images", "Unreachable": "hub", "content_of": "loading", "load": "loading"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
