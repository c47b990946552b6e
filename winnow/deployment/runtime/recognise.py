"""From the nodes of a network to steps: which of its operations kernels can run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from winnow.deployment.runtime.steps import (
    ConcatenateStep,
    MapStep,
    MeanStep,
    PoolStep,
    ProductStep,
    ScaleStep,
    SparseWeights,
    StepList,
    SumStep,
    Value,
)
from winnow.deployment.simplify import arguments
from winnow.kernels.arrays import Floats

aten: Any = torch.ops.aten

_Shape = tuple[int, ...]


class UnfitError(Exception):
    """A node that kernels cannot run after all: its only argument."""


@dataclass(frozen=True)
class Known:
    """What is known of a network's nodes: constants and nonzeros by name, and shapes by node.

    ``shapes``: for one number of examples; ``others``: for another one, and for other lengths of
    tokens where these are free, so that it can be told which sizes are the same for all of them.
    Every example of a part of the network has its own place in leading dimensions: the first one,
    or all but the last of tokens (B, T, F).
    """

    constants: Mapping[str, Tensor]
    weights: Mapping[str, SparseWeights]
    shapes: Mapping[str, Any]
    others: Mapping[str, Any]

    def shape(self, node: Any) -> _Shape | None:
        """The shape of a float32 tensor; None for everything else."""
        return _shape(self.shapes, node)

    def example(self, node: Any) -> tuple[int, int, int] | None:
        """(C, H, W) of one example; None where the value is no such map, or has other sizes for
        other inputs.
        """
        shape, other = self.shape(node), _shape(self.others, node)
        if shape is None or other is None or not 2 <= len(shape) <= 4 or 0 in shape:
            return None
        first = len(_lead(shape))
        if shape[first:] != other[first:]:
            return None
        return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[-1], 1, 1)

    def examples(self, node: fx.Node) -> int:
        """How many examples a value has: its first dimension, or all but the last of tokens."""
        return math.prod(_lead(self.shape(node) or (1, 1)))

    def together(self, nodes: Sequence[Any]) -> bool:
        """Whether values have the same leading dimensions, for whatever number of examples."""
        for shapes in (self.shapes, self.others):
            found = [_shape(shapes, node) for node in nodes]
            if len({None if shape is None else _lead(shape) for shape in found}) > 1:
                return False
        return True

    def constant(self, node: Any) -> Tensor | None:
        """The value of a constant."""
        known = isinstance(node, fx.Node) and node.op == "get_attr"
        return self.constants.get(str(node.target)) if known else None

    def nonzeros(self, node: Any) -> SparseWeights | None:
        """The nonzeros of a constant that has them."""
        known = isinstance(node, fx.Node) and node.op == "get_attr"
        return self.weights.get(str(node.target)) if known else None


def _shape(shapes: Mapping[str, Any], node: Any) -> _Shape | None:
    value = shapes.get(node.name) if isinstance(node, fx.Node) else None
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        return None
    return tuple(int(s) for s in value.shape)


def _lead(shape: _Shape) -> _Shape:
    """The leading dimensions: the first one, or all but the last of tokens (B, T, F)."""
    return shape[:1] if len(shape) in (2, 4) else shape[:-1]


def is_layer(node: fx.Node) -> bool:
    """Whether a node that kernels run has weights."""
    return node.target in (aten.conv2d.default, aten.linear.default)


def runs_in_kernels(node: fx.Node, known: Known) -> bool:
    """Whether kernels can run a node."""
    maker = _MAKERS.get(node.target) if node.op == "call_function" else None
    if maker is None or known.example(node) is None:
        return False
    return maker(_Trial(known), node) is not None


def steps_from(nodes: Sequence[fx.Node], inputs: Sequence[fx.Node], outputs: Sequence[fx.Node],
             known: Known) -> StepList:  # fmt: skip
    """The steps of some nodes in order, fused where one pass can do the work."""
    builder = _Builder(known)
    for node in inputs:
        builder.values[node] = builder.value(node)
    made = StepList(inputs=[builder.values[node] for node in inputs])
    kept = set(outputs)
    for node in nodes:
        if builder.fused(node, made.steps, kept):
            continue
        step = _MAKERS[node.target](builder, node)
        if step is None:  # it looked as if they could; a flattened map is no list of features
            raise UnfitError(node)
        if isinstance(step, Value):
            builder.values[node] = step
            continue
        builder.values[node] = step.out
        made.steps.append(step)
    made.outputs = [builder.values[node] for node in outputs]
    return made


@dataclass
class _Builder:
    known: Known
    values: dict[fx.Node, Value] = field(default_factory=dict)

    def value(self, node: fx.Node) -> Value:
        """A new value for a node."""
        example = self.known.example(node)
        assert example is not None
        return Value(*example)

    def read(self, node: Any) -> Value | None:
        """The value of an input of a step."""
        return self.values.get(node)

    def fused(self, node: fx.Node, steps: list[MapStep], kept: set[fx.Node]) -> bool:
        """Do a ReLU or a sum with the step that makes its input, where nothing else uses that."""
        given = [n for n in node.args[:2] if isinstance(n, fx.Node)]
        alone = [self.values[n] for n in given if n in self.values and self._alone(n, kept)]
        if node.target in _RELUS:
            step = next((s for s in reversed(steps) if s.out in alone), None)
            if not isinstance(step, (ProductStep, SumStep, ScaleStep)) or step.relu:
                return False
            step.relu = step.out.rectified = True
        elif node.target is aten.add.Tensor:
            step = next((s for s in reversed(steps) if s.out in alone), None)
            if not self._takes_sum(node, step, steps, given):
                return False
            assert isinstance(step, ProductStep)
            step.residual = next(v for n in given if (v := self.values[n]) is not step.out)
        else:
            return False
        self.values[node] = step.out
        return True

    def _alone(self, node: fx.Node, kept: set[fx.Node]) -> bool:
        """Whether a node's only user is the only one of its value, views included."""
        held = [n for n, value in self.values.items() if value is self.values[node]]
        return all(len(n.users) == 1 and n not in kept for n in held)

    def _takes_sum(
        self, node: fx.Node, step: MapStep | None, steps: list[MapStep], given: list[fx.Node]
    ) -> bool:
        """Whether the last step that makes one side of a sum is a product that may add the other
        side, which exists by then.
        """
        if not isinstance(step, ProductStep) or step.relu or step.residual is not None:
            return False
        if _add(_Trial(self.known), node) is None or given[0] is given[1]:
            return False
        other = next((v for n in given if (v := self.values[n]) is not step.out), None)
        if other is None or (other.channels, *other.pixels) != (
            step.out.channels,
            *step.out.pixels,
        ):
            return False
        made = [s.out for s in steps[: steps.index(step)]]
        return other in made or all(s.out is not other for s in steps)


class _Trial(_Builder):
    """Takes every map for an input, to see whether a step can be made."""

    def read(self, node: Any) -> Value | None:
        example = self.known.example(node)
        return None if example is None else Value(*example, rectified=True)


# ---- layers


def _convolution(b: _Builder, node: fx.Node) -> ProductStep | None:
    given = arguments(node)
    weights, x = b.known.nonzeros(given["weight"]), b.read(given["input"])
    shape = b.known.shape(node)
    if weights is None or x is None or shape is None or isinstance(given["padding"], str):
        return None
    if len(shape) != 4:
        return None
    bias = _bias(b, given["bias"], weights.shape[0])
    if bias is None:
        return None
    stride, padding, dilation = (_pair(given[k]) for k in ("stride", "padding", "dilation"))
    return ProductStep(
        weights, bias, x, b.value(node), stride, padding, dilation, groups=given["groups"]
    )


def _linear(b: _Builder, node: fx.Node) -> ProductStep | None:
    given = arguments(node)
    weights, x = b.known.nonzeros(given["weight"]), b.read(given["input"])
    shape = b.known.shape(given["input"])
    if weights is None or x is None or shape is None or len(shape) == 4:  # of maps: over columns
        return None
    bias = _bias(b, given["bias"], weights.shape[0])
    if bias is None or x.size != weights.shape[1]:
        return None
    # the features of a flattened map are its pixels
    own = replace(weights, shape=(weights.shape[0], x.channels, x.height, x.width))
    return ProductStep(own, bias, x, b.value(node))


def _bias(b: _Builder, node: Any, rows: int) -> Floats | None:
    if node is None:
        return np.zeros(rows, np.float32)
    value = b.known.constant(node)
    return None if value is None or value.shape != (rows,) else value.float().numpy()


def _batch_norm(b: _Builder, node: fx.Node) -> ScaleStep | None:
    given = arguments(node)
    x, shape = b.read(given["input"]), b.known.shape(node)
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, gamma, beta = (b.known.constant(given[name]) for name in names)
    missing = any(
        given[n] is not None and v is None for n, v in zip(names[2:], (gamma, beta), strict=True)
    )
    if x is None or mean is None or variance is None or missing or given["training"]:
        return None
    if shape is None or len(shape) == 3:  # its channels are not the last dimension
        return None
    scale = (variance.double() + given["eps"]).rsqrt()
    scale = scale if gamma is None else scale * gamma.double()
    shift = -mean.double() * scale
    shift = shift if beta is None else shift + beta.double()
    if len(scale) != x.channels:
        return None
    return ScaleStep(x, b.value(node), scale.float().numpy(), shift.float().numpy())


# ---- between them


def _relu(b: _Builder, node: fx.Node) -> SumStep | None:
    x = b.read(node.args[0])
    if x is None:
        return None
    out = Value(x.channels, x.height, x.width, rectified=True)
    return SumStep(x, None, out, relu=True)


def _add(b: _Builder, node: fx.Node) -> SumStep | None:
    given = arguments(node)
    sides = (given["self"], given["other"])
    shapes = [b.known.shape(n) for n in sides]
    if given["alpha"] != 1 or shapes[0] is None or shapes[0] != shapes[1]:
        return None
    if any(b.known.constant(n) is not None for n in sides):
        return None
    x, other = (b.read(n) for n in sides)
    if x is None or other is None or not _alike(x, other) or not b.known.together(sides):
        return None
    out = Value(x.channels, x.height, x.width, rectified=x.rectified and other.rectified)
    return SumStep(x, other, out)


def _pool(b: _Builder, node: fx.Node) -> PoolStep | None:
    given = arguments(node)
    x, shape = b.read(given["self"]), b.known.shape(node)
    average = node.target is aten.avg_pool2d.default
    if x is None or shape is None or len(shape) != 4:
        return None
    kernel, padding = _pair(given["kernel_size"]), _pair(given["padding"])
    stride = _pair(given["stride"]) if given["stride"] else kernel
    if average and (
        given["divisor_override"] or not (given["count_include_pad"] or padding == (0, 0))
    ):
        return None
    if not average and (
        _pair(given["dilation"]) != (1, 1) or (padding != (0, 0) and not x.rectified)
    ):
        return None
    sides = zip(x.pixels, kernel, stride, padding, strict=True)
    if shape[2:] != tuple((n + 2 * p - k) // s + 1 for n, k, s, p in sides):  # ceil_mode
        return None
    return PoolStep(x, _rectified(b.value(node), x), kernel, stride, padding, average)


def _adaptive_pool(b: _Builder, node: fx.Node) -> MeanStep | PoolStep | None:
    given = arguments(node)
    x, size = b.read(given["self"]), _pair(given["output_size"])
    shape = b.known.shape(node)
    if x is None or shape is None or len(shape) != 4:
        return None
    if size == (1, 1):
        return MeanStep(x, _rectified(b.value(node), x))
    if any(n % s for n, s in zip(x.pixels, size, strict=True)):
        return None
    window = (x.height // size[0], x.width // size[1])
    return PoolStep(x, _rectified(b.value(node), x), window, window, (0, 0), True)


def _mean(b: _Builder, node: fx.Node) -> MeanStep | None:
    given = arguments(node)
    x, rank = b.read(given["self"]), len(b.known.shape(given["self"]) or ())
    if x is None or rank != 4 or given["dtype"] is not None or given["dim"] is None:
        return None
    if sorted(d % rank for d in given["dim"]) != [2, 3]:
        return None
    return MeanStep(x, _rectified(Value(x.channels, 1, 1), x))


def _flattened(b: _Builder, node: fx.Node) -> Value | None:
    """(B, C, H, W) → (B, C · H · W), and what changes nothing: the same value."""
    x = b.read(node.args[0])
    before, after = b.known.shape(node.args[0]), b.known.shape(node)
    if x is None or before is None or after is None:
        return None
    if not b.known.together([node.args[0], node]):
        return None
    if len(after) == 2 and len(before) == 4 and math.prod(before[1:]) == after[1]:
        return x
    return x if before == after else None


def _concatenated(b: _Builder, node: fx.Node) -> ConcatenateStep | None:
    given = arguments(node)
    parts: Any = given["tensors"]
    shapes = [b.known.shape(n) for n in parts]
    values = [b.read(n) for n in parts]
    if any(v is None for v in values) or any(s is None or len(s) not in (2, 4) for s in shapes):
        return None
    if not b.known.together(parts):
        return None
    made = b.value(node)
    known = [v for v in values if v is not None]
    same = all(v.pixels == made.pixels for v in known)
    if given["dim"] != 1 or not same or sum(v.channels for v in known) != made.channels:
        return None
    made.rectified = all(v.rectified for v in known)
    return ConcatenateStep(known, made)


def _alike(a: Value, b: Value) -> bool:
    return (a.channels, *a.pixels) == (b.channels, *b.pixels)


def _rectified(out: Value, x: Value) -> Value:
    out.rectified = x.rectified
    return out


def _pair(value: Any) -> tuple[int, int]:
    given = [value] if isinstance(value, int) else list(value)
    return (given[0], given[0]) if len(given) == 1 else (given[0], given[1])


_RELUS = {aten.relu.default, aten.relu_.default}
_MAKERS: dict[Any, Callable[[_Builder, fx.Node], MapStep | Value | None]] = {
    aten.conv2d.default: _convolution,
    aten.linear.default: _linear,
    aten.batch_norm.default: _batch_norm,
    **dict.fromkeys(_RELUS, _relu),
    aten.add.Tensor: _add,
    aten.max_pool2d.default: _pool,
    aten.avg_pool2d.default: _pool,
    aten.adaptive_avg_pool2d.default: _adaptive_pool,
    aten.mean.dim: _mean,
    aten.reshape.default: _flattened,
    aten.flatten.using_ints: _flattened,
    aten.cat.default: _concatenated,
}
