"""A convolution or linear layer as an operation of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Activation, Views
from winnow.engine.sparse_cpu.graph.correlate import correlate, correlate_back, weight_gradient
from winnow.engine.sparse_cpu.graph.gradients import Gradients, Share
from winnow.engine.sparse_cpu.graph.lists import LayerLists
from winnow.engine.sparse_cpu.graph.norm import Norm
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import Pass, Stage, group_floats
from winnow.engine.sparse_cpu.kernels.block_gradient import row_sums
from winnow.engine.sparse_cpu.kernels.block_product import refresh
from winnow.engine.sparse_cpu.kernels.elementwise import relu_back
from winnow.engine.sparse_cpu.kernels.grid import GROUPS
from winnow.engine.sparse_cpu.places import Bits, Places
from winnow.kernels.arrays import NO_FLOATS, Floats


@dataclass(frozen=True)
class _WayBack:
    """``delta``: the gradient by the output. ``closes``: its ReLU has still to be applied to it.

    ``into``: the part of the gradient by the input; None where nothing before it is trained.
    """

    delta: Views
    closes: bool
    into: Share | None


class Product:
    """out = sparse weights times x, then bias, then maybe a ReLU.

    Sums of the batch norm after it, and of that before it on the way back, come along.
    """

    trained = True
    back: _WayBack

    def __init__(
        self,
        listed: Callable[[Bits], LayerLists],
        weight: str,
        bias: str | None,
        x: Activation,
        out: Activation,
    ) -> None:
        """``listed``: the lists of the layer for a mask; `relist` comes before anything else."""
        self.listed = listed
        self.names, self.x, self.out = (weight, bias), x, out
        self.norm: Norm | None = None
        self.weight, self.gradient = NO_FLOATS, NO_FLOATS
        self.bias, self.bias_gradient = NO_FLOATS, NO_FLOATS

    def relist(self, keep: Bits) -> Places:
        """Take the nonzeros of this mask; the places of the weights that `bind` then needs."""
        lists = self.listed(keep)
        self.forward_list = lists.forward
        self.back_lists = lists.backward if self.x.trained else ()
        self.back_weights = [np.zeros(len(way.place), np.float32) for way in self.back_lists]
        return lists.places

    def serve(self, norm: Norm | None) -> bool:
        """Make the sums of a batch for this norm; False if there is another one already."""
        if self.norm is None:
            self.norm = norm
        return self.norm is norm

    def bind(self, parameters: Parameters) -> None:
        weight, bias = self.names
        self.weight, self.gradient = parameters.nonzeros(weight)
        if bias is not None:
            self.bias, self.bias_gradient = parameters.dense(bias)

    def begin(self) -> None:
        """Nothing."""

    def begin_back(self) -> None:
        self.bias_gradient[:] = 0
        for way, weight in zip(self.back_lists, self.back_weights, strict=True):
            refresh(self.weight, way.place, weight)

    def stages(self) -> list[Stage]:
        fixed = 2 * self.weight.size
        return [Stage(self.forward, group=group_floats(self.x, self.out), fixed=fixed)]

    def stages_back(self) -> list[Stage]:
        fixed = 2 * self.forward_list.scratch
        return [Stage(self.backward, group=group_floats(self.x, self.out), fixed=fixed)]

    def forward(self, now: Pass) -> None:
        listed, norm = self.forward_list, self.norm
        listed.grid[GROUPS] = now.groups
        shift, sums = NO_FLOATS, NO_FLOATS
        if norm is not None and norm.uses_batch(now.training):
            shift, sums = norm.shift, norm.sums
        correlate(
            listed.grid,
            listed.start,
            listed.offset,
            self.weight,
            listed.at,
            self.bias,
            self.x.buffer[now.first],
            self.out.buffer[now.first],
            now.present,
            self.out.rectified,
            shift,
            sums,
        )

    def plan_back(self, gradients: Gradients) -> None:
        into = None
        if self.x.trained:
            whole = all(len(way.at) == self.x.map.channels for way in self.back_lists)
            into = gradients.claim(self.x, gates=True, sums=whole)
        gradient = gradients.of(self.out)
        closes = self.out.rectified and not gradient.gated
        self.back = _WayBack(gradient.views, closes, into)
        gradients.release(self.out)

    def backward(self, now: Pass) -> None:
        listed, out = self.forward_list, self.out
        delta = self.back.delta[now.first]
        if self.back.closes:
            size = now.groups * out.map.group
            relu_back(out.buffer[now.first][:size], delta[:size], delta[:size], False)
        listed.grid[GROUPS] = now.groups
        weight_gradient(
            listed.grid,
            listed.start,
            listed.offset,
            listed.at,
            self.x.buffer[now.first],
            delta,
            now.scratch(listed.scratch),
            self.gradient,
            now.first > 0,
        )
        if self.bias.size:
            sums = now.scratch(self.bias.size)[: self.bias.size]
            row_sums(listed.grid, listed.at, delta, sums)
            self.bias_gradient += sums
        if self.back.into is not None:
            self._to_input(delta, self.back.into, now)

    def _to_input(self, delta: Floats, share: Share, now: Pass) -> None:
        gate = self.x.buffer[now.first] if share.gates else NO_FLOATS
        y, shift, sums = NO_FLOATS, NO_FLOATS, NO_FLOATS
        if share.sums and (wanted := self.x.back_sums) is not None:
            y, shift, sums = wanted.value.buffer[now.first], wanted.shift, wanted.sums
        for way, weight in zip(self.back_lists, self.back_weights, strict=True):
            way.grid[GROUPS] = now.groups
            correlate_back(
                way.grid,
                way.start,
                way.offset,
                weight,
                way.at,
                delta,
                share.views[now.first],
                share.accumulate,
                gate,
                y,
                shift,
                sums,
            )
