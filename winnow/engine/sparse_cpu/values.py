"""What operations of a graph hand to each other: activations, and the gradients by them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from winnow.engine.sparse_cpu.layout import Map, groups
from winnow.engine.sparse_cpu.network import Floats
from winnow.engine.sparse_cpu.simd import W

NONE = np.empty(0, np.float32)  # an argument that a kernel does without


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
    buffer: Floats = field(default_factory=lambda: NONE)
    delta: Floats | None = None
    left: int = 0
    gated: bool = False
    norm_input: Value | None = None
    shift: Floats = field(default_factory=lambda: NONE)
    sums: Floats = field(default_factory=lambda: NONE)
    summed: bool = False


@dataclass
class Pass:
    """The batch that operations work on; one object for all of them, changed from batch to batch.

    ``lanes``: (W,), 1 where the last group has an example, else 0.
    """

    training: bool
    batch: int
    groups: int
    lanes: Floats
    partial: Floats = field(default_factory=lambda: NONE)

    def scratch(self, floats: int) -> Floats:
        """So many floats that mean nothing."""
        if self.partial.size < floats:
            self.partial = np.empty(floats, np.float32)
        return self.partial

    def start(self, batch: int, *, training: bool) -> None:
        """Begin with another batch."""
        self.training, self.batch, self.groups = training, batch, groups(batch)
        self.lanes[:] = np.arange(W) < batch - (self.groups - 1) * W


class Pool:
    """Gradients of one shape take turns in a few buffers: a border of zeros stays one."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.free: dict[Map, list[Floats]] = {}

    def claim(self, value: Value) -> tuple[bool, bool]:
        """A gradient is about to be added: whether there are others already, and will be none."""
        accumulate = value.delta is not None
        if value.delta is None:
            free = self.free.get(value.map)
            value.delta = free.pop() if free else value.map.zeros(self.batch)
        value.left -= 1
        return accumulate, value.left == 0

    def release(self, value: Value) -> None:
        """The gradient has been used up."""
        assert value.delta is not None
        self.free.setdefault(value.map, []).append(value.delta)


def delta_of(value: Value) -> Floats:
    """The gradient by a value that has one."""
    assert value.delta is not None
    return value.delta
