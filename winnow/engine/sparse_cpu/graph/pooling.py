"""A maximum or an average over windows as an operation of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Activation, Views
from winnow.engine.sparse_cpu.graph.gradients import Gradients, Share
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import Pass, Stage, group_floats
from winnow.engine.sparse_cpu.kernels.elementwise import relu_back
from winnow.engine.sparse_cpu.kernels.pooling import (
    avg_pool,
    avg_pool_back,
    max_pool,
    max_pool_back,
)
from winnow.kernels.arrays import Floats, Int64s


@dataclass(frozen=True)
class PoolingKind:
    """The kernels of one kind, called alike: see `winnow.engine.sparse_cpu.kernels.pooling`.

    ``picks``: the result, and its gradient, is that of one pixel of each window.
    """

    forward: Callable[[Int64s, Int64s, Int64s, int, Floats, Floats], None]
    backward: Callable[[Int64s, Int64s, Int64s, int, Floats, Floats, Floats, Floats, bool], None]
    picks: bool


def _average_back(
    din: Int64s,
    dout: Int64s,
    geometry: Int64s,
    groups: int,
    _x: Floats,
    _out: Floats,
    delta: Floats,
    dx: Floats,
    accumulate: bool,
) -> None:
    avg_pool_back(din, dout, geometry, groups, delta, dx, accumulate)


MAXIMUM = PoolingKind(max_pool, max_pool_back, picks=True)
AVERAGE = PoolingKind(avg_pool, _average_back, picks=False)


class Pooling:
    """A maximum or average over windows; geometry as the kernels have it."""

    def __init__(
        self, kind: PoolingKind, geometry: tuple[int, ...], x: Activation, out: Activation
    ) -> None:
        self.kind, self.x, self.out = kind, x, out
        self.shape = x.map.dims, out.map.dims, np.array(geometry, np.int64)
        self.trained = x.trained
        self.delta: Views = []
        self.into = Share([])

    def bind(self, parameters: Parameters) -> None:
        """Nothing is trained here."""

    def begin(self) -> None:
        """Nothing."""

    def begin_back(self) -> None:
        """Nothing."""

    def stages(self) -> list[Stage]:
        return [Stage(self.forward, group=group_floats(self.x, self.out))]

    def stages_back(self) -> list[Stage]:
        return [Stage(self.backward, group=group_floats(self.x, self.out))]

    def forward(self, now: Pass) -> None:
        x, out = self.x.buffer[now.first], self.out.buffer[now.first]
        self.kind.forward(*self.shape, now.groups, x, out)

    def plan_back(self, gradients: Gradients) -> None:
        # The gradient goes to pixels equal to those of ``out``: the gate costs least there.
        gates = self.kind.picks and not gradients.begun(self.x)
        self.into = gradients.claim(self.x, gates=gates)
        self.delta = gradients.of(self.out).views
        gradients.release(self.out)

    def backward(self, now: Pass) -> None:
        x, out, delta = (views[now.first] for views in (self.x.buffer, self.out.buffer, self.delta))
        if self.into.gates:
            size = now.groups * self.out.map.group
            relu_back(out[:size], delta[:size], delta[:size], False)
        into = self.into.views[now.first]
        self.kind.backward(*self.shape, now.groups, x, out, delta, into, self.into.accumulate)
