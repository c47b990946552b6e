"""The nonzeros of a product in the order in which kernels take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.deployment.runtime.geometry import Geometry, is_strided, phase_counts
from winnow.deployment.runtime.steps import ProductStep
from winnow.engine.sparse_cpu.graph.lists import slab_planes
from winnow.kernels.arrays import Int64s
from winnow.kernels.simd import W


@dataclass(frozen=True, eq=False)
class Nonzeros:
    """Rows of nonzeros, slab after slab: start (slabs · rows + 1,), offset and values."""

    slabs: int
    start: Int64s
    offset: Int64s
    values: NDArray[Any]


class _Places(NamedTuple):
    """Of each nonzero: its output channel, the plane that it reads, and where it reads."""

    row: Int64s
    plane: Int64s
    offset: Int64s


def product_nonzeros(step: ProductStep, source: Geometry, vectors: int) -> Nonzeros:
    """Row by row, in slabs of as many planes as the first-level cache holds for one block.

    ``vectors``: of the largest block.
    """
    row, plane, offset = _places(step, source)
    rows = step.out.channels
    high, wide = _reach(step)
    # of a plane, what a block reads: its vectors, in each row that a tap goes to
    block = min(high * (vectors * W + wide * source.lanes), source.plane) * 4
    planes = int(plane.max(initial=0)) + 1
    slab = plane // slab_planes(planes, rows, max(len(row), 1), block)
    slabs = int(slab.max(initial=0)) + 1
    line = slab * rows + row
    order = np.lexsort((offset, line))
    counts = np.bincount(line, minlength=slabs * rows)
    start = np.concatenate([[0], np.cumsum(counts)])
    return Nonzeros(slabs, start, offset[order], step.weights.values[order])


@dataclass(frozen=True, eq=False)
class Slices:
    """Rows of nonzeros, W of them side by side.

    start (slices + 1,), in vectors; ``order`` (slices · W,): which row each element is, -1 none.
    """

    start: Int64s
    offset: Int64s
    values: NDArray[Any]
    order: Int64s

    def of(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """What rows have, element by element."""
        return np.where(self.order >= 0, numbers[self.order], 0)

    def rows(self, plane: int) -> Int64s:
        """Where each element is stored."""
        return np.where(self.order >= 0, self.order * plane, -1)


def dot_slices(step: ProductStep, source: Geometry) -> Slices:
    """The rows by their number of nonzeros, W to a slice, each filled up to the longest."""
    row, _, offset = _places(step, source)
    counts = np.bincount(row, minlength=step.out.channels)
    ranked = np.argsort(-counts, kind="stable")
    slices = -(-len(ranked) // W)
    order = np.concatenate([ranked, np.full(slices * W - len(ranked), -1, np.int64)])
    longest = counts[ranked[::W]]
    start = np.concatenate([[0], np.cumsum(longest)])
    rank = np.empty(len(ranked), np.int64)
    rank[ranked] = np.arange(len(ranked))
    by_row = np.lexsort((offset, row))
    first = np.concatenate([[0], np.cumsum(counts)])
    number = np.arange(len(row)) - first[row[by_row]]
    position = rank[row[by_row]]
    to = (start[position // W] + number) * W + position % W
    values = np.zeros(int(start[-1]) * W, step.weights.values.dtype)
    places = np.full(len(values), int(offset.min(initial=0)) if len(offset) else 0)
    values[to], places[to] = step.weights.values[by_row], offset[by_row]
    return Slices(start, places, values, order)


def _places(step: ProductStep, source: Geometry) -> _Places:
    """Where each nonzero reads, in floats from pixel (0, 0) of channel 0 of the source."""
    row, channel, down, right = np.unravel_index(step.weights.index, step.weights.shape)
    channel = channel + row // (step.out.channels // step.groups) * step.weights.shape[1]
    down = down * step.dilation[0] - step.padding[0]
    right = right * step.dilation[1] - step.padding[1]
    if is_strided(step):
        _, wide = phase_counts(step)
        (down, a), (right, b) = np.divmod(down, step.stride[0]), np.divmod(right, step.stride[1])
        channel = (a * wide + b) * step.x.channels + channel
    offset = channel * source.plane + (down * source.row + right) * source.lanes
    return _Places(row, channel, offset)


def _reach(step: ProductStep) -> tuple[int, int]:
    """Rows and columns that the taps of a product span, of the phases where it has strides."""
    sides = zip(step.weights.shape[2:], step.stride, step.dilation, strict=True)
    high, wide = ((k - 1) * d // s + 1 for k, s, d in sides)
    return high, wide
