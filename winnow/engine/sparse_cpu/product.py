"""A convolution or linear layer as an operation of a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import types

from winnow.engine.sparse_cpu.blend import Norm
from winnow.engine.sparse_cpu.correlate import correlate, correlate_back
from winnow.engine.sparse_cpu.correlate_gradient import row_sums, weight_gradient
from winnow.engine.sparse_cpu.cover import GROUPS
from winnow.engine.sparse_cpu.elementwise import relu_back
from winnow.engine.sparse_cpu.lists import Nonzeros
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.places import Bits, Places
from winnow.engine.sparse_cpu.values import NONE, Pass, Pool, Step, Value, delta_of, group_of
from winnow.kernels.arrays import Floats, Integers
from winnow.kernels.cache import Entry, kernel
from winnow.kernels.simd import read


class Product:
    """out = sparse weights times x, then bias, then maybe a ReLU.

    Sums of the batch norm after it, and of that before it on the way back, come along.
    """

    trained = True

    def __init__(
        self,
        listed: Callable[[Bits], Nonzeros],
        weight: str,
        bias: str | None,
        x: Value,
        out: Value,
    ) -> None:
        """``listed``: the lists of the layer for a mask; `relist` comes before anything else."""
        self.listed = listed
        self.names, self.x, self.out = (weight, bias), x, out
        self.norm: Norm | None = None
        self.weight, self.gradient = NONE, NONE
        self.bias, self.bias_gradient = NONE, NONE
        self.accumulate, self.last = False, False

    def relist(self, keep: Bits) -> Places:
        """Take the nonzeros of this mask; the places of the weights that `bind` then needs."""
        lists = self.listed(keep)
        self.forward_list = lists.forward
        self.back_lists = lists.backward if self.x.trained else ()
        self.back_weights = [np.zeros(len(p.place), np.float32) for p in self.back_lists]
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
        for product, weight in zip(self.back_lists, self.back_weights, strict=True):
            refresh(self.weight, product.place, weight)

    def steps(self) -> list[Step]:
        fixed = 2 * self.weight.size
        return [Step(self.forward, group=group_of(self.x, self.out), fixed=fixed)]

    def steps_back(self) -> list[Step]:
        fixed = 2 * self.forward_list.scratch
        return [Step(self.backward, group=group_of(self.x, self.out), fixed=fixed)]

    def forward(self, now: Pass) -> None:
        product, norm = self.forward_list, self.norm
        product.grid[GROUPS] = now.groups
        shift, sums = NONE, NONE
        if norm is not None and norm.uses_batch(now.training):
            shift, sums = norm.shift, norm.sums
        correlate(
            product.grid,
            product.start,
            product.offset,
            self.weight,
            product.at,
            self.bias,
            self.x.buffer[now.first],
            self.out.buffer[now.first],
            now.lanes,
            self.out.rectified,
            shift,
            sums,
        )

    def plan_back(self, pool: Pool) -> None:
        if self.x.trained:
            self.accumulate, self.last = pool.claim(self.x)
            self.x.gated = self.last and self.x.rectified
            channels = all(len(p.at) == self.x.map.channels for p in self.back_lists)
            self.x.summed = self.last and channels and self.x.norm_input is not None
        pool.release(self.out)

    def backward(self, now: Pass) -> None:
        product, out = self.forward_list, self.out
        delta = delta_of(out, now)
        if out.rectified and not out.gated:
            size = now.groups * out.map.group
            relu_back(out.buffer[now.first][:size], delta[:size], delta[:size], False)
        product.grid[GROUPS] = now.groups
        weight_gradient(
            product.grid,
            product.start,
            product.offset,
            product.at,
            self.x.buffer[now.first],
            delta,
            now.scratch(product.scratch),
            self.gradient,
            now.first > 0,
        )
        if self.bias.size:
            some = now.scratch(self.bias.size)[: self.bias.size]
            row_sums(product.grid, product.at, delta, some)
            self.bias_gradient += some
        if self.x.trained:
            self._to_input(delta, now)

    def _to_input(self, delta: Floats, now: Pass) -> None:
        x = self.x
        gate = x.buffer[now.first] if x.gated and self.last else NONE
        y, shift, sums = NONE, NONE, NONE
        if x.summed and self.last and x.norm_input is not None:
            y, shift, sums = x.norm_input.buffer[now.first], x.shift, x.sums
        for product, weight in zip(self.back_lists, self.back_weights, strict=True):
            product.grid[GROUPS] = now.groups
            correlate_back(
                product.grid,
                product.start,
                product.offset,
                weight,
                product.at,
                delta,
                delta_of(x, now),
                self.accumulate,
                gate,
                y,
                shift,
                sums,
            )


@kernel
def refresh(weight: Floats, place: Integers, out: Floats) -> None:
    """The weights in the order of the way back."""
    for k in range(place.size):
        out[k] = read(weight, read(place, k))


_floats, _integers = types.float32[::1], types.int32[::1]
ENTRIES = (Entry(refresh, (_floats, _integers, _floats)),)
