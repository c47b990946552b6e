"""Engines: what trains a list of jobs. `base` is the seam; `dense` is the reference."""

from __future__ import annotations

from winnow.engine.base import Engine
from winnow.errors import unknown

NAMES = ("auto", "dense")


def get(name: str) -> Engine:
    """The engine called ``name``; ``auto`` chooses dense, the only one so far."""
    from winnow.engine.dense import DenseEngine

    if name not in NAMES:
        raise unknown("engine", name, NAMES, f"Valid here: {', '.join(NAMES)}")
    return DenseEngine()
