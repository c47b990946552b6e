"""What operations of a graph do, and the part of a batch that they do it with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Activation
from winnow.engine.sparse_cpu.graph.map import group_count
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.kernels.arrays import Floats, aligned
from winnow.kernels.simd import W

MOST_LANES = 8
"""The most parts of a batch that are worked on at once, each with sums of its own.

Fixed, so that sums are added up in one order however many threads there are.
"""


class Scratch(threading.local):
    """Arrays that mean nothing when a stage begins; each thread has its own, still in its cache."""

    def __init__(self) -> None:
        self._arrays: dict[str, Floats] = {}

    def named(self, name: str, floats: int) -> Floats:
        """So many floats or more; those of one name are the same."""
        if name not in self._arrays or self._arrays[name].size < floats:
            self._arrays[name] = aligned(floats, 0.0)
        return self._arrays[name]


class Pass:
    """The part of a batch that operations work on: ``groups`` groups from ``first`` on.

    ``present``: (W,), 1 where the last of them has an example, else 0. ``batch``: of all examples.
    ``lane``: what it adds up goes to the sums of this number; ``begins``: it is the lane's first.
    """

    def __init__(self, lane: int, scratch: Scratch, storage: Storage = Storage.FLOAT32) -> None:
        """``scratch``: that of all lanes, of which each thread has its own.

        ``storage``: of all activations and gradients.
        """
        self.lane, self.begins = lane, True
        self.storage, self.nothing = storage, storage.nothing
        self.scratch = scratch.named
        self.training, self.batch, self.total = False, 0, 0
        self.first = self.groups = 0
        self.every, self.last = np.ones(W, np.float32), np.ones(W, np.float32)
        self.present = self.every

    def start(self, batch: int, *, training: bool) -> None:
        """Begin with another batch."""
        self.training, self.batch, self.total = training, batch, group_count(batch)
        self.last[:] = np.arange(W) < batch - (self.total - 1) * W
        self.take(0, self.total)

    def take(self, first: int, count: int, *, begins: bool = True) -> None:
        """Go on with ``count`` groups from ``first`` on, or with those of them that there are."""
        self.first, self.groups, self.begins = first, min(count, self.total - first), begins
        self.present = self.last if first + self.groups == self.total else self.every


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
