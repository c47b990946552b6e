"""As what maps lie in memory: the types that kernels of graphs are compiled for.

Float32; or bf16 (`winnow.kernels.bf16`), which halves what a step reads and writes. Sums, weights,
strips and everything in registers are float32 either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from winnow.kernels.compile import EntryPoint

_FLOATS, _HALVES = types.float32[::1], types.uint16[::1]


def for_both(
    entries: Callable[[Any, str], tuple[EntryPoint, ...]],
) -> tuple[tuple[EntryPoint, ...], tuple[EntryPoint, ...]]:
    """The entries of a file for maps of float32, and for maps of bf16.

    ``entries``: what gives them for the numba type of a map and their kind.
    """
    return entries(_FLOATS, ""), entries(_HALVES, "bf16")
