"""Batch norm: what is known of each channel, and its trained numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import MOST_LANES
from winnow.engine.sparse_cpu.kernels.batch_norm import (
    back_factors,
    batch_statistics,
    running_statistics,
)
from winnow.errors import UserError
from winnow.kernels.arrays import NO_FLOATS, Floats, aligned
from winnow.kernels.simd import W


class Norm:
    """What batch norm knows of each channel; the running statistics are the module's own.

    ``sums``, ``sums_back``, (MOST_LANES, 2 · channels · W): what each lane sums over its part of a
    batch, forward and on the way back, in the operation before or in `Blend`; see
    `winnow.engine.sparse_cpu.kernels.batch_norm`.
    """

    def __init__(self, name: str, module: Any, channels: int) -> None:
        self.name, self.module = name, module
        self.mean, self.deviation, self.scale, self.offset = (
            np.zeros(channels, np.float32) for _ in range(4)
        )
        self.back_scale, self.slope, self.rest = (np.zeros(channels, np.float32) for _ in range(3))
        self.sums, self.sums_back = (
            aligned(MOST_LANES * 2 * channels * W, 0.0).reshape(MOST_LANES, -1) for _ in range(2)
        )
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
        if self.uses_batch(training):
            self._from_batch(count, training)
            return
        running_statistics(
            self.module.eps,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.scale,
            self.offset,
        )

    def _from_batch(self, count: int, training: bool) -> None:
        if count == 1:
            raise UserError(
                f"{self.name} normalises a batch of one value for each channel: there is no "
                'variance. Take another batch size, or last_batch: "drop"'
            )
        tracks = training and self.running_mean.size > 0
        batch_statistics(
            _of_all_lanes(self.sums),
            count,
            self.module.eps,
            1.0 - self._momentum() if tracks else 1.0,
            self.weight,
            self.bias,
            self.shift,
            self.running_mean if tracks else NO_FLOATS,
            self.running_var if tracks else NO_FLOATS,
            self.mean,
            self.scale,
            self.offset,
            self.deviation,
        )

    def prepare_back(self, count: int) -> None:
        """From the sums of the way back to the gradients here, and the factors of `blend_back`."""
        back_factors(
            _of_all_lanes(self.sums_back),
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


def _of_all_lanes(sums: Floats) -> Floats:
    """The sums of all lanes, one lane after the other."""
    total: Floats = sums[0]
    for lane in sums[1:]:
        total += lane
    return total


def _array(tensor: Tensor | None) -> Floats:
    return NO_FLOATS if tensor is None else tensor.detach().numpy()
