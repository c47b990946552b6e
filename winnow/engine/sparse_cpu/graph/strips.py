"""Operands of a product that are computed strip by strip and never stored whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.kernels.strips import Filled
from winnow.kernels.arrays import NO_FLOATS, Floats, Int64s, Values
from winnow.kernels.simd import W

NO_STRIP: Int64s = np.empty(0, np.int64)


@dataclass(frozen=True)
class Strip:
    """The rows of a map that some rows of a product read, as scratch holds them.

    ``rows``: of the product; ``step``: from one to the next in the map; ``above``: how many rows of
    the map lie above the first; ``height``: how many a strip has. Distances are counted in floats,
    as those of a `Map`.
    """

    map: Map
    rows: int
    step: int
    above: int
    height: int

    @property
    def channels(self) -> int:
        """Planes."""
        return self.map.channels

    @property
    def pixel(self) -> int:
        """From a pixel to the next of its row."""
        return self.map.pixel

    @property
    def row(self) -> int:
        """From a row to the next."""
        return self.map.row

    @property
    def plane(self) -> int:
        """From a channel to the next."""
        return self.height * self.row

    @property
    def group(self) -> int:
        """From a group to the next: the floats of W examples."""
        return self.channels * self.plane

    @property
    def origin(self) -> int:
        """Where the pixel lies that the first row of the product has in the middle."""
        return self.above * self.row + self.map.border * W

    def dims(self, *, rectify: bool) -> Int64s:
        """The strip as kernels take it."""
        sizes = (self.rows, self.step, self.above, self.height)
        return np.array([*sizes, *self.map.dims, rectify], np.int64)


def nothing_filled(nothing: Values) -> Filled:
    """`Filled` of what needs no strips; ``nothing``: a map without elements."""
    return nothing, nothing, NO_FLOATS, NO_FLOATS, NO_FLOATS, NO_FLOATS


class ProductInput(NamedTuple):
    """What a product reads: an array as it is, or scratch for strips of what ``filled`` gives.

    ``strip`` and ``filled``: see `winnow.engine.sparse_cpu.kernels.strips`. The array is float32;
    maps in ``filled`` are of the type that all maps have.
    """

    array: Floats
    strip: Int64s = NO_STRIP
    filled: Filled = nothing_filled(NO_FLOATS)
