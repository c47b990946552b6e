"""The operation between products: batch norm, a residual sum and a ReLU, in one pass."""

from __future__ import annotations

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
from winnow.engine.sparse_cpu.network import Floats
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.simd import W
from winnow.engine.sparse_cpu.values import NONE, Pass, Pool, Value, delta_of
from winnow.errors import UserError


class Norm:
    """What batch norm knows of each channel; the running statistics are the module's own."""

    def __init__(self, name: str, module: Any, channels: int) -> None:
        self.name, self.module = name, module
        self.mean, self.deviation, self.scale, self.offset = (
            np.zeros(channels, np.float32) for _ in range(4)
        )
        self.back_scale, self.slope, self.rest = (np.zeros(channels, np.float32) for _ in range(3))
        self.sums = np.zeros(2 * channels * W, np.float32)
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

    def prepare(self, now: Pass) -> None:
        if self.norm is None:
            return
        shape = self.value.map
        if self.norm.uses_batch(now.training) and not self.summed:
            self.norm.begin()
            channel_sums(
                shape.dims,
                now.groups,
                now.lanes,
                self.value.buffer,
                self.norm.shift,
                self.norm.sums,
            )
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

    def forward(self, now: Pass) -> None:
        for branch in self.branches:
            branch.prepare(now)
        first, second = self.branches[0], self.branches[-1]
        pair = len(self.branches) == 2
        blend(
            self.dims,
            now.groups,
            now.lanes,
            first.value.buffer,
            first.scale,
            first.offset,
            *((second.value.buffer, second.scale, second.offset) if pair else (NONE,) * 3),
            self.out.rectified,
            self.out.buffer,
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

    def backward(self, now: Pass) -> None:
        self._gate(now)
        delta, size = delta_of(self.out), now.groups * self.out.map.group
        for branch, accumulate in self.plans:
            into = delta_of(branch.value)
            if branch.norm is not None:
                self._back(branch, branch.norm, accumulate, now)
            elif accumulate:
                add(into[:size], delta[:size], into[:size], False)
            elif into is not delta:
                into[:size] = delta[:size]

    def _gate(self, now: Pass) -> None:
        """The ReLU's gate and the first batch norm's sums, if no product has seen to them."""
        out = self.out
        gate = out.buffer if out.rectified and not out.gated else NONE
        delta, size = delta_of(out), now.groups * out.map.group
        if out.norm_input is not None and not out.summed:
            y = out.norm_input.buffer
            back_sums(self.dims, now.groups, delta, gate, y, out.shift, out.sums)
        elif gate.size:
            relu_back(gate[:size], delta[:size], delta[:size], False)

    def _back(self, branch: Branch, norm: Norm, accumulate: bool, now: Pass) -> None:
        delta, y = delta_of(self.out), branch.value.buffer
        sums = self.own_sums
        if branch.value is not self.out.norm_input:
            sums = norm.sums
            back_sums(self.dims, now.groups, delta, NONE, y, norm.mean, sums)
        count = now.batch * self.out.map.height * self.out.map.width
        back_factors(
            sums,
            count,
            norm.weight,
            norm.mean,
            norm.deviation,
            norm.back_scale,
            norm.slope,
            norm.rest,
            norm.weight_gradient,
            norm.bias_gradient,
        )
        blend_back(
            self.dims,
            now.groups,
            now.lanes,
            delta,
            y,
            norm.mean,
            norm.back_scale,
            norm.slope,
            norm.rest,
            accumulate,
            delta_of(branch.value),
        )
