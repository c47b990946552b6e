"""What operations of a graph do, and the part of a batch that they do it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Activation
from winnow.engine.sparse_cpu.graph.map import group_count
from winnow.kernels.arrays import Floats, aligned
from winnow.kernels.simd import W


class Pass:
    """The part of a batch that operations work on: ``groups`` groups from ``first`` on.

    ``present``: (W,), 1 where the last of them has an example, else 0. ``batch``: of all examples.
    """

    def __init__(self) -> None:
        self.training, self.batch, self.total = False, 0, 0
        self.first = self.groups = 0
        self.every, self.last = np.ones(W, np.float32), np.ones(W, np.float32)
        self.present = self.every
        self._scratch: dict[str, Floats] = {}

    def start(self, batch: int, *, training: bool) -> None:
        """Begin with another batch."""
        self.training, self.batch, self.total = training, batch, group_count(batch)
        self.last[:] = np.arange(W) < batch - (self.total - 1) * W
        self.take(0, self.total)

    def take(self, first: int, count: int) -> None:
        """Go on with ``count`` groups from ``first`` on, or with those of them that there are."""
        self.first, self.groups = first, min(count, self.total - first)
        self.present = self.last if first + self.groups == self.total else self.every

    def scratch(self, name: str, floats: int) -> Floats:
        """So many floats, or more, that mean nothing; those of one name are the same."""
        if name not in self._scratch or self._scratch[name].size < floats:
            self._scratch[name] = aligned(floats, 0.0)
        return self._scratch[name]


@dataclass(frozen=True)
class Stage:
    """What an operation does at once: with all of a batch where ``whole``, else with any groups.

    ``group``: the floats of a group in the largest map that it touches, 0 if groups should stay
    together. ``fixed``: the floats that it touches however few the groups.
    """

    run: Callable[[Pass], None]
    whole: bool = False
    group: int = 0
    fixed: int = 0


_FEW = 16  # pixels: of smaller maps, kernels take several groups at once


def group_floats(*activations: Activation) -> int:
    """`Stage.group` for the maps of these activations."""
    maps = [activation.map for activation in activations]
    few = any(m.height * m.width < _FEW for m in maps)
    return 0 if few else max(m.group for m in maps)
