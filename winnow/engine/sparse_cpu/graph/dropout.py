"""Dropout as an operation of a graph."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from winnow.engine.sparse_cpu.graph.activations import Activation, Views, new_buffer
from winnow.engine.sparse_cpu.graph.gradients import Gradients, Share
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import Pass, Stage, group_floats
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.kernels.convert import images_to_map
from winnow.engine.sparse_cpu.kernels.elementwise import times


class Dropout:
    """Units are dropped with probability ``rate``; the masks are those that torch would draw.

    ``shape``: what torch sees of an example. The generator is torch's global one.
    """

    def __init__(self, rate: float, shape: tuple[int, ...], x: Activation, out: Activation) -> None:
        self.rate, self.shape, self.x, self.out = rate, shape, x, out
        self.keep: Views = []
        self.dims = x.map.dims
        self.trained = x.trained
        self.delta: Views = []
        self.into = Share([])

    def bind(self, parameters: Parameters) -> None:
        """Nothing is trained here."""

    def begin(self) -> None:
        """Nothing: masks are drawn when the forward pass comes here, in torch's order."""

    def begin_back(self) -> None:
        """Nothing."""

    def stages(self) -> list[Stage]:
        group = group_floats(self.x)
        return [Stage(self._draw, whole=True), Stage(self.forward, group=group)]

    def stages_back(self) -> list[Stage]:
        return [Stage(self.backward, group=group_floats(self.x))]

    def _draw(self, now: Pass) -> None:
        if not now.training:
            return
        if len(self.keep) < now.total:
            self.keep = new_buffer(self.x.map, now.batch, Storage.FLOAT32)
        drawn = F.dropout(torch.ones(now.batch, *self.shape), self.rate)
        images_to_map(self.dims, now.batch, drawn.view(-1).numpy(), self.keep[0], False)

    def forward(self, now: Pass) -> None:
        size = now.groups * self.x.map.group
        x, out = self.x.buffer[now.first][:size], self.out.buffer[now.first][:size]
        if now.training:
            times(x, self.keep[now.first][:size], out, False)
        else:
            out[:] = x

    def plan_back(self, gradients: Gradients) -> None:
        self.delta = gradients.of(self.out).views
        if gradients.begun(self.x):
            self.into = gradients.claim(self.x)
        else:
            self.into = gradients.take_over(self.x, self.out)
        gradients.release(self.out)

    def backward(self, now: Pass) -> None:
        size = now.groups * self.x.map.group
        into, delta = self.into.views[now.first][:size], self.delta[now.first][:size]
        times(delta, self.keep[now.first][:size], into, self.into.accumulate)
