"""A convolution or linear layer as an operation of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow.engine.sparse_cpu.graph.activations import Activation
from winnow.engine.sparse_cpu.graph.correlate import (
    Back,
    Gate,
    Listed,
    both_gradients,
    correlate,
    correlate_back,
    weight_gradient,
)
from winnow.engine.sparse_cpu.graph.gradients import Gradient, Gradients, Share
from winnow.engine.sparse_cpu.graph.lanes import LaneGradients
from winnow.engine.sparse_cpu.graph.lists import LayerLists, ProductList
from winnow.engine.sparse_cpu.graph.norm import Norm
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.reading import map_as_it_is, normed, whole_input
from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.graph.stages import Pass, Stage, group_floats
from winnow.engine.sparse_cpu.graph.streaming import Strips
from winnow.engine.sparse_cpu.graph.strips import ProductInput
from winnow.engine.sparse_cpu.kernels.block_gradient import row_sums
from winnow.engine.sparse_cpu.kernels.block_product import refresh
from winnow.engine.sparse_cpu.kernels.block_shapes import MOST_GROUPS
from winnow.engine.sparse_cpu.kernels.elementwise import relu_back
from winnow.engine.sparse_cpu.kernels.grid import GROUPS
from winnow.engine.sparse_cpu.places import Bits, Places
from winnow.kernels.arrays import NO_FLOATS
from winnow.kernels.simd import W


@dataclass(frozen=True)
class _WayBack:
    """``delta``: the gradient by the output. ``closes``: its ReLU has still to be applied to it.

    ``into``: the part of the gradient by the input; None where nothing before it is trained.
    """

    delta: Gradient
    closes: bool
    into: Share | None


class Product:
    """out = sparse weights times x, then bias, then maybe a ReLU.

    Sums of the batch norm after it, and of that before it on the way back, come along. Where it has
    strips, it reads x, or the gradient by the output, from these.
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
        strips: Strips,
    ) -> None:
        """``listed``: the lists of the layer for a mask; `relist` comes before anything else."""
        self.listed, self.strips = listed, strips
        self.names, self.x, self.out = (weight, bias), x, out
        self.norm: Norm | None = None
        self.weight, self.gradient = NO_FLOATS, NO_FLOATS
        self.bias, self.bias_gradient = NO_FLOATS, NO_FLOATS
        self.gradients = LaneGradients(NO_FLOATS, NO_FLOATS)
        assert strips.x is not None or x.normed is None, "what is not stored is read from strips"
        self.x_dims = None if strips.x is None else strips.x.dims(rectify=x.rectified)
        self.delta_dims = None if strips.delta is None else strips.delta.dims(rectify=False)

    def relist(self, keep: Bits) -> Places:
        """Take the nonzeros of this mask; the places of the weights that `bind` then needs."""
        lists = self.listed(keep)
        self.forward_list, self.gradient_list = lists.forward, lists.gradient
        self.back_lists = lists.backward if self.x.trained else ()
        self.back_weights = [np.zeros(len(way.place), np.float32) for way in self.back_lists]
        grids = [regions(way.grid) for way in (self.gradient_list, *self.back_lists)]
        self.at_once = self.delta_dims is not None and len(grids) == 2 and grids[0] == grids[1]
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
        self.gradients = LaneGradients(self.gradient, self.bias_gradient)

    def end_back(self) -> None:
        """Add up what lanes have made of the gradients."""
        self.gradients.end()

    def begin(self) -> None:
        """Nothing."""

    def begin_back(self) -> None:
        self.gradients.begin()
        for way, weight in zip(self.back_lists, self.back_weights, strict=True):
            refresh(self.weight, way.place, weight)

    def stages(self) -> list[Stage]:
        fixed = 2 * self.weight.size
        return [Stage(self.forward, group=group_floats(self.x, self.out), fixed=fixed)]

    def stages_back(self) -> list[Stage]:
        fixed = 2 * self.forward_list.scratch
        return [Stage(self.backward, group=group_floats(self.x, self.out), fixed=fixed)]

    def forward(self, now: Pass) -> None:
        listed, norm = _listed(self.forward_list, now.groups), self.norm
        shift, sums = NO_FLOATS, NO_FLOATS
        if norm is not None and norm.uses_batch(now.training):
            shift, sums = norm.shift, norm.sums[now.lane]
        correlate(
            listed.grid,
            listed.start,
            listed.offset,
            self.weight,
            listed.at,
            self.bias,
            self._read_x(now),
            self.out.buffer[now.first],
            now.present,
            self.out.rectified,
            shift,
            sums,
            _streams(self.out, now),
        )

    def _read_x(self, now: Pass) -> ProductInput:
        strip, source = self.strips.x, self.x.normed
        if strip is None or self.x_dims is None:
            return whole_input(now, "whole x", self.x.buffer[now.first], self.x.map)
        filled = (
            map_as_it_is(now, self.x.buffer, self.x.map) if source is None else normed(now, source)
        )
        return ProductInput(now.scratch("x", MOST_GROUPS * strip.group), self.x_dims, filled)

    def _read_delta(self, now: Pass) -> ProductInput:
        gradient, strip, out = self.back.delta, self.strips.delta, self.out
        if strip is None or self.delta_dims is None:
            return whole_input(now, "whole delta", gradient.views[now.first], out.map)
        filled = map_as_it_is(now, gradient.views, out.map)
        if (norm := gradient.through) is not None:
            y = out.buffer[now.first]
            filled = (filled[0], y, norm.mean, norm.back_scale, norm.slope, norm.rest)
        return ProductInput(
            now.scratch("delta", MOST_GROUPS * strip.group), self.delta_dims, filled
        )

    def plan_back(self, gradients: Gradients) -> None:
        into = None
        if self.x.trained:
            whole = all(len(way.at) == self.x.map.channels for way in self.back_lists)
            into = gradients.claim(self.x, gates=True, sums=whole)
        gradient = gradients.of(self.out)
        computed = gradient.through is not None
        assert computed == self.strips.through_norm, "lists are made for what is read"
        closes = self.out.rectified and not gradient.gated
        self.back = _WayBack(gradient, closes, into)
        gradients.release(self.out)

    def backward(self, now: Pass) -> None:
        out, back = self.out, self.back
        if back.closes:
            stored = back.delta.views[now.first][: now.groups * out.map.group]
            relu_back(out.buffer[now.first][: stored.size], stored, stored, False)
        x, delta = self._read_x(now), self._read_delta(now)
        listed = _listed(self.gradient_list, now.groups)
        gradient, bias_gradient = self.gradients.of_lane(now)
        if self.bias.size:
            sums = now.scratch("bias", self.bias.size)[: self.bias.size]
            here = _listed(self.forward_list, now.groups)
            row_sums(here.grid, here.at, back.delta.views[now.first], sums)
            bias_gradient += sums
        tiled = x.strip.size or delta.strip.size
        floats = self.weight.size * W if tiled else self.forward_list.scratch
        partial, again = now.scratch("partial", floats), not now.begins
        ways = self._ways_back(now)
        if self.at_once and len(ways) == 1:
            both_gradients(listed, x, delta, partial, gradient, again, ways[0], now.present)
            return
        weight_gradient(*listed, x, delta, partial, gradient, again, now.present)
        for way in ways:
            correlate_back(
                way.listed.grid,
                way.listed.start,
                way.listed.offset,
                way.weight,
                way.listed.at,
                delta,
                way.out,
                way.accumulate,
                way.gate,
                now.present,
                way.streams,
            )

    def _ways_back(self, now: Pass) -> list[Back]:
        """The products that give the gradient by the input, one for each residue."""
        share = self.back.into
        if share is None:
            return []
        gate, out = self._gate(share, now), share.views[now.first]
        return [
            Back(
                _listed(way, now.groups), weight, out, share.accumulate, gate, _streams(self.x, now)
            )
            for way, weight in zip(self.back_lists, self.back_weights, strict=True)
        ]

    def _gate(self, share: Share, now: Pass) -> Gate:
        x, gate = self.x, Gate(now.nothing, now.nothing)
        if share.sums and (wanted := x.back_sums) is not None:
            y = wanted.value.buffer[now.first]
            gate = gate._replace(y=y, shift=wanted.shift, sums=wanted.sums[now.lane])
        if not share.gates:
            return gate
        if x.normed is None:
            return gate._replace(stored=x.buffer[now.first])
        y, scale, offset = x.normed.value.buffer[now.first], x.normed.scale, x.normed.offset
        return gate._replace(y=y, scale=scale, offset=offset)


_CACHED = 3 << 20  # bytes: an activation that is larger is out of the caches before it is read


def _streams(activation: Activation, now: Pass) -> bool:
    """Whether an activation, or the gradient by it, is too large to be kept in the caches."""
    return now.total * activation.map.group * now.storage.bytes > _CACHED


def _listed(product: ProductList, groups: int) -> Listed:
    """A product as kernels take it, for so many groups."""
    grid = product.grid.copy()
    grid[GROUPS] = groups
    return Listed(grid, product.start, product.offset, product.at)
