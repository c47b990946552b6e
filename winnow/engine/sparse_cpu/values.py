"""What operations of a graph hand to each other: activations, and the gradients by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from winnow.engine.sparse_cpu.layout import Map, groups
from winnow.kernels.arrays import Floats
from winnow.kernels.simd import W

NONE = np.empty(0, np.float32)  # an argument that a kernel does without
Views = list[Floats]  # a buffer: entry g begins with group g, so entry 0 is all of it


def new_buffer(shape: Map, batch: int) -> Views:
    """A buffer for a batch, all zeros."""
    whole = shape.zeros(batch)
    return [whole[g * shape.group :] for g in range(groups(batch))]


@dataclass(eq=False)
class Value:
    """An activation and its gradient.

    ``trained``: whether its gradient is wanted. ``rectified``: it comes out of a ReLU, so that its
    gradient is 0 where it is not positive. ``norm_input`` and ``shift``: what came into the batch
    norm that it comes out of. ``left``: how many of its users have still to add to its gradient
    when the way back is planned. ``gated``, ``summed``: whether the last of them applies the gate
    of the ReLU and fills ``sums``, what batch norm needs on the way back.
    """

    map: Map
    trained: bool
    rectified: bool = False
    buffer: Views = field(default_factory=list)
    delta: Views | None = None
    left: int = 0
    gated: bool = False
    norm_input: Value | None = None
    shift: Floats = field(default_factory=lambda: NONE)
    sums: Floats = field(default_factory=lambda: NONE)
    summed: bool = False


class Pass:
    """The part of a batch that operations work on: ``groups`` groups from ``first`` on.

    ``lanes``: (W,), 1 where the last of them has an example, else 0. ``batch``: of all examples.
    """

    def __init__(self) -> None:
        self.training, self.batch, self.total = False, 0, 0
        self.first = self.groups = 0
        self.every, self.last = np.ones(W, np.float32), np.ones(W, np.float32)
        self.lanes = self.every
        self.partial = NONE

    def start(self, batch: int, *, training: bool) -> None:
        """Begin with another batch."""
        self.training, self.batch, self.total = training, batch, groups(batch)
        self.last[:] = np.arange(W) < batch - (self.total - 1) * W
        self.take(0, self.total)

    def take(self, first: int, count: int) -> None:
        """Go on with ``count`` groups from ``first`` on, or with those of them that there are."""
        self.first, self.groups = first, min(count, self.total - first)
        self.lanes = self.last if first + self.groups == self.total else self.every

    def scratch(self, floats: int) -> Floats:
        """So many floats that mean nothing."""
        if self.partial.size < floats:
            self.partial = np.empty(floats, np.float32)
        return self.partial


@dataclass(frozen=True)
class Step:
    """What an operation does at once: with all of a batch where ``whole``, else with any groups.

    ``group``: the floats of a group in the largest map that it touches, 0 if groups should stay
    together. ``fixed``: the floats that it touches however few the groups.
    """

    run: Callable[[Pass], None]
    whole: bool = False
    group: int = 0
    fixed: int = 0


class Pool:
    """Gradients of one shape take turns in a few buffers: a border of zeros stays one."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.free: dict[Map, list[Views]] = {}

    def claim(self, value: Value) -> tuple[bool, bool]:
        """A gradient is about to be added: whether there are others already, and will be none."""
        accumulate = value.delta is not None
        if value.delta is None:
            free = self.free.get(value.map)
            value.delta = free.pop() if free else new_buffer(value.map, self.batch)
        value.left -= 1
        return accumulate, value.left == 0

    def release(self, value: Value) -> None:
        """The gradient has been used up."""
        assert value.delta is not None
        self.free.setdefault(value.map, []).append(value.delta)


def delta_of(value: Value, now: Pass) -> Floats:
    """The gradient by a value that has one, from the first group of a pass on."""
    assert value.delta is not None
    return value.delta[now.first]


_FEW = 16  # pixels: of smaller maps, kernels take several groups at once


def group_of(*values: Value) -> int:
    """`Step.group` for these maps."""
    maps = [value.map for value in values]
    few = any(m.height * m.width < _FEW for m in maps)
    return 0 if few else max(m.group for m in maps)
