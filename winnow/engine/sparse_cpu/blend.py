"""The operation between products: batch norm, a residual sum and a ReLU, in one pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from winnow.engine.sparse_cpu.batch_norm import (
    back_factors,
    back_sums,
    batch_statistics,
    blend,
    blend_back,
    channel_sums,
    running_statistics,
)
from winnow.engine.sparse_cpu.elementwise import add, relu_back
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.values import NONE, Pass, Pool, Step, Value, delta_of, group_of
from winnow.errors import UserError
from winnow.kernels.arrays import Floats
from winnow.kernels.simd import W


class Norm:
    """What batch norm knows of each channel; the running statistics are the module's own."""

    def __init__(self, name: str, module: Any, channels: int) -> None:
        self.name, self.module = name, module
        self.mean, self.deviation, self.scale, self.offset = (
            np.zeros(channels, np.float32) for _ in range(4)
        )
        self.back_scale, self.slope, self.rest = (np.zeros(channels, np.float32) for _ in range(3))
        self.sums, self.sums_back = (np.zeros(2 * channels * W, np.float32) for _ in range(2))
        self.weight, self.bias = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        self.weight_gradient, self.bias_gradient = self.weight.copy(), self.bias.copy()
        self.running_mean = _array(module.running_mean)
        self.running_var = _array(module.running_var)
        self.shift = np.zeros(channels, np.float32)  # the running mean, if there is one

    def bind(self, parameters: Parameters) -> None:
        """Use the trained weight and bias, where there are any."""
        if self.module.affine:
            self.weight, self.weight_gradient = parameters.dense(f"{self.name}.weight")
            self.bias, self.bias_gradient = parameters.dense(f"{self.name}.bias")

    def uses_batch(self, training: bool) -> bool:
        """Whether the batch's own statistics count."""
        return training or self.running_mean.size == 0

    def begin(self) -> None:
        """Before the sums of a batch are made."""
        self.sums[:] = 0
        if self.running_mean.size:
            self.shift[:] = self.running_mean

    def prepare(self, count: int, training: bool) -> None:
        """From the sums of ``count`` values a channel, or the running statistics, to a scale."""
        if not self.uses_batch(training):
            running_statistics(
                self.module.eps,
                self.weight,
                self.bias,
                self.running_mean,
                self.running_var,
                self.scale,
                self.offset,
            )
            return
        if count == 1:
            raise UserError(
                f"{self.name} normalises a batch of one value for each channel: there is no "
                'variance. Take another batch size, or last_batch: "drop"'
            )
        tracks = training and self.running_mean.size > 0
        batch_statistics(
            self.sums,
            count,
            self.module.eps,
            1.0 - self._momentum() if tracks else 1.0,
            self.weight,
            self.bias,
            self.shift,
            self.running_mean if tracks else NONE,
            self.running_var if tracks else NONE,
            self.mean,
            self.scale,
            self.offset,
            self.deviation,
        )

    def prepare_back(self, sums: Floats, count: int) -> None:
        """From the sums of the way back to the gradients here, and the factors of `blend_back`."""
        back_factors(
            sums,
            count,
            self.weight,
            self.mean,
            self.deviation,
            self.back_scale,
            self.slope,
            self.rest,
            self.weight_gradient,
            self.bias_gradient,
        )

    def _momentum(self) -> float:
        """How much of this batch goes into the running statistics."""
        self.module.num_batches_tracked.add_(1)
        if self.module.momentum is None:
            return 1.0 / float(self.module.num_batches_tracked)
        return float(self.module.momentum)


def _array(tensor: Tensor | None) -> Floats:
    return NONE if tensor is None else tensor.detach().numpy()


class Branch:
    """One summand of a blend: a value as it is, or batch normalised."""

    def __init__(self, value: Value, norm: Norm | None) -> None:
        self.value, self.norm = value, norm
        self.summed = False  # whether the product before makes the sums of a batch
        channels = value.map.channels
        self.scale = norm.scale if norm else np.ones(channels, np.float32)
        self.offset = norm.offset if norm else np.zeros(channels, np.float32)

    def sum(self, now: Pass) -> None:
        """The sums of some groups, where the product before makes none."""
        shape, norm = self.value.map, self.norm
        if norm is not None and norm.uses_batch(now.training):
            y = self.value.buffer[now.first]
            channel_sums(shape.dims, now.groups, now.lanes, y, norm.shift, norm.sums)

    def prepare(self, now: Pass) -> None:
        """Scale and offset, when the sums are there."""
        if self.norm is not None:
            shape = self.value.map
            self.norm.prepare(now.batch * shape.height * shape.width, now.training)


class Blend:
    """out = the sum of one or two branches, then maybe a ReLU."""

    def __init__(self, branches: list[Branch], out: Value) -> None:
        self.branches, self.out = branches, out
        self.dims, self.trained = out.map.dims, out.trained
        self.own_sums = np.zeros(2 * out.map.channels * W, np.float32)
        self.plans: list[tuple[Branch, bool]] = []
        normed = [b for b in branches if b.norm is not None]
        if normed and normed[0].norm is not None:
            out.norm_input, out.shift = normed[0].value, normed[0].norm.mean
            out.sums = self.own_sums

    def bind(self, parameters: Parameters) -> None:
        for branch in self.branches:
            if branch.norm is not None:
                branch.norm.bind(parameters)

    def begin(self) -> None:
        for branch in self.branches:
            if branch.norm is not None:
                branch.norm.begin()

    def begin_back(self) -> None:
        self.own_sums[:] = 0
        for branch in self.branches:
            if branch.norm is not None:
                branch.norm.sums_back[:] = 0

    def steps(self) -> list[Step]:
        group = group_of(self.out)
        normed = [b for b in self.branches if b.norm is not None]
        sums = [Step(b.sum, group=group) for b in normed if not b.summed]
        prepare = [Step(b.prepare, whole=True) for b in normed]
        return [*sums, *prepare, Step(self.forward, group=group)]

    def forward(self, now: Pass) -> None:
        first, second = self.branches[0], self.branches[-1]
        pair = len(self.branches) == 2
        blend(
            self.dims,
            now.groups,
            now.lanes,
            first.value.buffer[now.first],
            first.scale,
            first.offset,
            second.value.buffer[now.first] if pair else NONE,
            second.scale if pair else NONE,
            second.offset if pair else NONE,
            self.out.rectified,
            self.out.buffer[now.first],
        )

    def plan_back(self, pool: Pool) -> None:
        """The last branch to be done takes over the buffer of the gradient, if it needs a new."""
        branches = [b for b in self.branches if b.value.trained]
        branches.sort(key=lambda b: b.value.delta is None and b.norm is None)
        taken = False
        for i, branch in enumerate(branches):
            value = branch.value
            if i == len(branches) - 1 and value.delta is None:
                value.delta, taken = self.out.delta, True
                value.left -= 1
                self.plans.append((branch, False))
            else:
                accumulate, _ = pool.claim(value)
                self.plans.append((branch, accumulate))
        if not taken:
            pool.release(self.out)

    def steps_back(self) -> list[Step]:
        group = group_of(self.out)
        normed = [b for b, _ in self.plans if b.norm is not None]
        factors = [Step(partial(self._factors, b), whole=True) for b in normed]
        return [
            Step(self._sum_back, group=group),
            *factors,
            Step(self.backward, group=group),
        ]

    def _sum_back(self, now: Pass) -> None:
        """The ReLU's gate, and the batch norms' sums that no product has made."""
        out, delta = self.out, delta_of(self.out, now)
        gate = out.buffer[now.first] if out.rectified and not out.gated else NONE
        for branch, _ in self.plans:
            sums, norm = self._sums(branch), branch.norm
            if norm is not None and not (branch.value is out.norm_input and out.summed):
                y = branch.value.buffer[now.first]
                back_sums(self.dims, now.groups, delta, gate, y, norm.mean, sums)
                gate = NONE
        if gate.size:
            size = now.groups * out.map.group
            relu_back(gate[:size], delta[:size], delta[:size], False)

    def _sums(self, branch: Branch) -> Floats:
        assert branch.norm is not None or branch.value is not self.out.norm_input
        if branch.norm is None or branch.value is self.out.norm_input:
            return self.own_sums
        return branch.norm.sums_back

    def _factors(self, branch: Branch, now: Pass) -> None:
        if branch.norm is not None:
            count = now.batch * self.out.map.height * self.out.map.width
            branch.norm.prepare_back(self._sums(branch), count)

    def backward(self, now: Pass) -> None:
        delta, size = delta_of(self.out, now), now.groups * self.out.map.group
        for branch, accumulate in self.plans:
            into, norm = delta_of(branch.value, now), branch.norm
            if norm is not None:
                blend_back(
                    self.dims,
                    now.groups,
                    now.lanes,
                    delta,
                    branch.value.buffer[now.first],
                    norm.mean,
                    norm.back_scale,
                    norm.slope,
                    norm.rest,
                    accumulate,
                    into,
                )
            elif accumulate:
                add(into[:size], delta[:size], into[:size], False)
            elif branch.value.delta is not self.out.delta:
                into[:size] = delta[:size]
