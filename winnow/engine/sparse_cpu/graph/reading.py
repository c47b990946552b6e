"""What a product reads, as kernels take it: a whole map, or what strips are made of."""

from __future__ import annotations

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Normed, Views
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.graph.stages import Pass
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.graph.strips import ProductInput, nothing_filled
from winnow.engine.sparse_cpu.kernels.halves import widen
from winnow.engine.sparse_cpu.kernels.strips import Filled
from winnow.kernels.arrays import NO_FLOATS, Values


def whole_input(now: Pass, name: str, stored: Values, shape: Map) -> ProductInput:
    """A map without strips, from this group on; of bf16 a copy in scratch of this name."""
    if now.storage is Storage.FLOAT32:
        return ProductInput(stored)
    size = now.groups * shape.group
    wide = now.scratch(name, size)[:size]
    widen(stored[:size], wide)
    return ProductInput(wide, filled=nothing_filled(now.nothing))


def map_as_it_is(now: Pass, views: Views, shape: Map) -> Filled:
    """Strips of a map as it is."""
    ones, zeros = np.ones(shape.channels, np.float32), np.zeros(shape.channels, np.float32)
    return views[now.first], now.nothing, NO_FLOATS, ones, NO_FLOATS, zeros


def normed(now: Pass, source: Normed) -> Filled:
    """Strips of a batch norm's result."""
    y = source.value.buffer[now.first]
    return y, now.nothing, NO_FLOATS, source.scale, NO_FLOATS, source.offset
