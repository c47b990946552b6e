"""Steps one at a time by torch in float64, and steps to try."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from winnow.deployment.runtime.assemble import assemble
from winnow.deployment.runtime.kernels.program import ENTRIES, ENTRIES_INT8
from winnow.deployment.runtime.runner import Runner
from winnow.deployment.runtime.sparse import int8_weights, nonzeros_of
from winnow.deployment.runtime.steps import (
    ConcatenateStep,
    MeanStep,
    PoolStep,
    ProductStep,
    ScaleStep,
    StepList,
    SumStep,
    Value,
)
from winnow.kernels.cache import prepare

prepare("deployed", ENTRIES)
prepare("deployed-int8", ENTRIES_INT8)

LANES = (1, 16, 64)


def run_slowly(part: StepList, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The outputs (N, C, H, W), in float64."""
    known = {v: x.double() for v, x in zip(part.inputs, inputs, strict=True)}
    for step in part.steps:
        known[step.out] = _step(step, known)
    return [known[v] for v in part.outputs]


def _step(step, known):
    if isinstance(step, ConcatenateStep):
        return torch.cat([known[v] for v in step.parts], 1)
    x = known[step.x]
    if isinstance(step, PoolStep):
        if step.average:
            return functional.avg_pool2d(x, step.kernel, step.stride, step.padding)
        return functional.max_pool2d(x, step.kernel, step.stride, step.padding)
    if isinstance(step, MeanStep):
        return x.mean((2, 3), keepdim=True)
    if isinstance(step, ProductStep):
        weight = torch.from_numpy(step.weights.dense()).double()
        bias = torch.from_numpy(step.bias).double()
        y = functional.conv2d(
            x, weight, bias, step.stride, step.padding, step.dilation, step.groups
        )
        y = y if step.residual is None else y + known[step.residual]
    elif isinstance(step, ScaleStep):
        scale, shift = (
            torch.from_numpy(v).double()[:, None, None] for v in (step.scale, step.shift)
        )
        y = x * scale + shift
    else:
        assert isinstance(step, SumStep)
        y = x if step.other is None else x + known[step.other]
    return y.relu() if step.relu else y


def runner_of(part: StepList, lanes: int) -> Runner:
    """What runs a part with so many examples side by side."""
    shapes = [(v.channels, *v.pixels) for v in part.outputs]
    return Runner({lanes: assemble(part, lanes)}, {lanes: 1.0}, [4] * len(part.inputs), shapes)


def run_kernels(runner: Runner, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The outputs (N, C, H, W)."""
    made = runner(*inputs)
    return [made] if isinstance(made, torch.Tensor) else list(made)


def examples(part: StepList, count: int, seed: int = 0) -> list[torch.Tensor]:
    """Normal numbers for every input."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, v.channels, *v.pixels, generator=generator) for v in part.inputs]


def check_part(part: StepList, lanes: int, count: int | None = None, seed: int = 0) -> None:
    """Equal to torch; and the same after a run of NaN, of which nothing may be left."""
    count = lanes if count is None else count
    runner, given = runner_of(part, lanes), examples(part, count, seed)
    found = run_kernels(runner, given)
    for mine, theirs in zip(found, run_slowly(part, given), strict=True):
        assert mine.shape == theirs.shape
        scale = max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(mine.double(), theirs, rtol=0, atol=2e-5 * scale)
    run_kernels(runner, [torch.full_like(x, torch.nan) for x in given])
    again = run_kernels(runner, given)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


class Maker:
    """Makes steps with random weights, one after the other."""

    def __init__(self, seed: int = 0, int8: bool = False) -> None:
        self.rng, self.int8 = np.random.default_rng(seed), int8
        self.part = StepList()

    def input(self, channels: int, height: int = 1, width: int = 1) -> Value:
        self.part.inputs.append(Value(channels, height, width))
        return self.part.inputs[-1]

    def weights(self, shape, density):
        dense = self.rng.normal(size=shape).astype(np.float32)
        dense *= self.rng.random(shape) < density
        dense /= np.sqrt(max(np.count_nonzero(dense) / shape[0], 1))
        made = nonzeros_of("weight", torch.from_numpy(dense))
        return int8_weights(made) if self.int8 else made

    def convolution(
        self, x, out, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
        density=0.3, residual=None, relu=False,
    ):  # fmt: skip
        sides = zip(x.pixels, kernel, stride, padding, dilation, strict=True)
        pixels = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]
        weights = self.weights((out, x.channels // groups, *kernel), density)
        bias = self.rng.normal(size=out).astype(np.float32)
        y = Value(out, *pixels, rectified=relu)
        return self.add(
            ProductStep(weights, bias, x, y, stride, padding, dilation, groups, residual, relu)
        )

    def linear(self, x, out, **more):
        return self.convolution(x, out, x.pixels, **more)

    def pool(self, x, kernel, stride, padding=(0, 0), average=False):
        sides = zip(x.pixels, kernel, stride, padding, strict=True)
        y = Value(x.channels, *((n + 2 * p - k) // s + 1 for n, k, s, p in sides), x.rectified)
        return self.add(PoolStep(x, y, kernel, stride, padding, average))

    def mean(self, x):
        return self.add(MeanStep(x, Value(x.channels, 1, 1, x.rectified)))

    def sum(self, x, other=None, relu=False):
        return self.add(SumStep(x, other, Value(x.channels, *x.pixels, relu), relu))

    def scale(self, x, relu=False):
        numbers = self.rng.normal(size=(2, x.channels)).astype(np.float32)
        return self.add(ScaleStep(x, Value(x.channels, *x.pixels, relu), *numbers, relu))

    def concatenate(self, parts):
        y = Value(sum(v.channels for v in parts), *parts[0].pixels, all(v.rectified for v in parts))
        return self.add(ConcatenateStep(parts, y))

    def add(self, step):
        self.part.steps.append(step)
        return step.out

    def made(self, *outputs) -> StepList:
        self.part.outputs = list(outputs)
        return self.part
