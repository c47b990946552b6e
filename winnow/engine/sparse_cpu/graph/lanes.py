"""Gradients by trained numbers that several lanes add to at once."""

from __future__ import annotations

import numpy as np

from winnow.engine.sparse_cpu.graph.stages import Pass
from winnow.kernels.arrays import Floats


class LaneGradients:
    """The gradients of a weight's nonzeros and of its bias: each lane has its own for a while.

    The first lane's are those of all in the end; others are made when they are first needed.
    """

    def __init__(self, weight: Floats, bias: Floats) -> None:
        self._lanes = {0: (weight, bias)}
        self._used: set[int] = set()

    def begin(self) -> None:
        """Nothing has been added yet."""
        self._used.clear()

    def of_lane(self, now: Pass) -> tuple[Floats, Floats]:
        """Those of the pass's lane; the bias's are 0 where the pass is the lane's first."""
        if now.lane not in self._lanes:
            weight, bias = self._lanes[0]
            self._lanes[now.lane] = np.empty_like(weight), np.empty_like(bias)
        weight, bias = self._lanes[now.lane]
        if now.begins:
            self._used.add(now.lane)
            bias[:] = 0
        return weight, bias

    def end(self) -> None:
        """Add up what lanes have, in their order."""
        weight, bias = self._lanes[0]
        for lane in sorted(self._used - {0}):
            weight += self._lanes[lane][0]
            bias += self._lanes[lane][1]
