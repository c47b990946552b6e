"""Pooling and dropout as operations of a graph."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from winnow.engine.sparse_cpu.convert import pack
from winnow.engine.sparse_cpu.elementwise import relu_back, times
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.pool import avg_pool, avg_pool_back, max_pool, max_pool_back
from winnow.engine.sparse_cpu.values import (
    Pass,
    Pool,
    Step,
    Value,
    Views,
    delta_of,
    group_of,
    new_buffer,
)


class Pooling:
    """A maximum or average over windows; geometry as `winnow.engine.sparse_cpu.pool` has it."""

    def __init__(self, kind: str, geometry: tuple[int, ...], x: Value, out: Value) -> None:
        self.kind, self.x, self.out = kind, x, out
        self.shape = x.map.dims, out.map.dims, np.array(geometry, np.int64)
        self.trained = x.trained
        self.accumulate, self.gates = False, False

    def bind(self, parameters: Parameters) -> None:
        """Nothing is trained here."""

    def begin(self) -> None:
        """Nothing."""

    def begin_back(self) -> None:
        """Nothing."""

    def steps(self) -> list[Step]:
        return [Step(self.forward, group=group_of(self.x, self.out))]

    def steps_back(self) -> list[Step]:
        return [Step(self.backward, group=group_of(self.x, self.out))]

    def forward(self, now: Pass) -> None:
        run = max_pool if self.kind == "max" else avg_pool
        run(*self.shape, now.groups, self.x.buffer[now.first], self.out.buffer[now.first])

    def plan_back(self, pool: Pool) -> None:
        self.accumulate, last = pool.claim(self.x)
        # The gradient goes to pixels equal to those of ``out``: the gate costs least there.
        self.gates = self.kind == "max" and self.x.rectified and last and not self.accumulate
        self.x.gated = self.gates
        pool.release(self.out)

    def backward(self, now: Pass) -> None:
        x, out = self.x, self.out
        into, delta = delta_of(x, now), delta_of(out, now)
        before, after = x.buffer[now.first], out.buffer[now.first]
        if self.gates:
            size = now.groups * out.map.group
            relu_back(after[:size], delta[:size], delta[:size], False)
        if self.kind == "max":
            max_pool_back(*self.shape, now.groups, before, after, delta, into, self.accumulate)
        else:
            avg_pool_back(*self.shape, now.groups, delta, into, self.accumulate)


class Dropout:
    """Units are dropped with probability ``rate``; the masks are those that torch would draw.

    ``shape``: what torch sees of an example. The generator is torch's global one.
    """

    def __init__(self, rate: float, shape: tuple[int, ...], x: Value, out: Value) -> None:
        self.rate, self.shape, self.x, self.out = rate, shape, x, out
        self.keep: Views = []
        self.dims = x.map.dims
        self.trained = x.trained
        self.accumulate = False

    def bind(self, parameters: Parameters) -> None:
        """Nothing is trained here."""

    def begin(self) -> None:
        """Nothing: masks are drawn when the forward pass comes here, in torch's order."""

    def begin_back(self) -> None:
        """Nothing."""

    def steps(self) -> list[Step]:
        group = group_of(self.x)
        return [Step(self._draw, whole=True), Step(self.forward, group=group)]

    def steps_back(self) -> list[Step]:
        return [Step(self.backward, group=group_of(self.x))]

    def _draw(self, now: Pass) -> None:
        if not now.training:
            return
        if len(self.keep) < now.total:
            self.keep = new_buffer(self.x.map, now.batch)
        drawn = F.dropout(torch.ones(now.batch, *self.shape), self.rate)
        pack(self.dims, now.batch, drawn.view(-1).numpy(), self.keep[0], False)

    def forward(self, now: Pass) -> None:
        size = now.groups * self.x.map.group
        x, out = self.x.buffer[now.first][:size], self.out.buffer[now.first][:size]
        if now.training:
            times(x, self.keep[now.first][:size], out, False)
        else:
            out[:] = x

    def plan_back(self, pool: Pool) -> None:
        if self.x.delta is None:
            self.x.delta = self.out.delta
            self.x.left -= 1
        else:
            self.accumulate, _ = pool.claim(self.x)
            pool.release(self.out)

    def backward(self, now: Pass) -> None:
        size = now.groups * self.x.map.group
        into, delta = delta_of(self.x, now)[:size], delta_of(self.out, now)[:size]
        times(delta, self.keep[now.first][:size], into, self.accumulate)
