"""Functions of single values: of one tensor, and of two that meet."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.ranges import (
    Range,
    added,
    anything,
    multiplied,
    negated,
)
from winnow.deployment.shrink.steps import Link, Scene, Step, passed, same_channels
from winnow.deployment.simplify import arguments, set_arguments

aten: Any = torch.ops.aten

_MONOTONE = {
    aten.relu.default, aten.sigmoid.default, aten.tanh.default, aten.hardtanh.default,
    aten.relu6.default, aten.hardsigmoid.default, aten.softplus.default, aten.elu.default,
    aten.selu.default, aten.celu.default, aten.clamp.default, aten.clamp_min.default,
    aten.clamp_max.default, aten.neg.default, aten.erf.default, aten.exp.default,
    aten.log_sigmoid.default, aten.leaky_relu.default, aten.add.Scalar, aten.sub.Scalar,
    aten.mul.Scalar, aten.div.Scalar, aten.rsub.Scalar,
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
}  # fmt: skip
_OTHER = {
    aten.gelu.default, aten.silu.default, aten.mish.default, aten.hardswish.default,
    aten.abs.default, aten.pow.Tensor_Scalar, aten.square.default,
    aten.sqrt.default, aten.rsqrt.default, aten.reciprocal.default, aten.log.default,
    aten.log1p.default, aten.expm1.default, aten.sin.default, aten.cos.default,
}  # fmt: skip
_CASTS = {aten._to_copy.default, aten.to.dtype}
SINGLE = _MONOTONE | _OTHER | _CASTS
"""With one tensor among their arguments."""
PAIRS = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
         aten.maximum.default, aten.minimum.default}  # fmt: skip


def of_single(scene: Scene, node: fx.Node) -> Step | None:
    """A function of the values of one tensor, its first argument."""
    source = node.args[0] if node.args else None
    before = scene.step(source)
    if before is None or not isinstance(source, fx.Node):
        return None
    if node.target in _CASTS:
        floating = scene.shapes[0][node.name].dtype.is_floating_point
        return passed(scene, source) if floating else None
    function: Any = node.target

    def apply(x: Tensor) -> Tensor:
        value: Tensor = function(x, *node.args[1:], **node.kwargs)
        return value

    given = before.range
    return passed(
        scene, source, None, given.monotone(apply) if _is_monotone(node) else given.pointwise(apply)
    )


def _is_monotone(node: fx.Node) -> bool:
    call = arguments(node)
    shape = [call[name] for name in ("negative_slope", "scale", "input_scale", "beta")
             if name in call]  # fmt: skip
    if node.target in (aten.elu.default, aten.celu.default):
        shape.append(call["alpha"])
    return node.target in _MONOTONE and all(float(value) >= 0 for value in shape)


def of_pair(scene: Scene, node: fx.Node) -> Step | None:
    """A sum, difference, product, … of two tensors that agree where channels are followed."""
    call = arguments(node)
    sides = {name: call[name] for name in ("self", "other")}
    steps = [scene.step(side) for side in sides.values()]
    found = [step for step in steps if step is not None and len(step.range) > 1]
    found = found or [step for step in steps if step is not None]
    shape = scene.shape(node)
    if not found:
        return None
    axis, count = found[0].axis, len(found[0].range)
    links, ranges = [], []
    for side in sides.values():
        met = _met(scene, side, len(shape), axis, count)
        if met is None:
            return None
        links += met[1]
        ranges.append(met[0])
    if not links or shape[axis] != count:
        return None
    made = _combined(node, ranges[0], ranges[1], call)
    return Step(axis, made, tuple(links), rewrite=partial(_rewrite_pair, scene, node, axis))


def _met(
    scene: Scene, side: Any, rank: int, axis: int, count: int
) -> tuple[Range, list[Link]] | None:
    """The range of one side along the channels, and its links; None where it cannot be cut."""
    if not isinstance(side, fx.Node):
        value = torch.full((count,), float(side), dtype=torch.float64)
        return Range(value, value), []
    step, own = scene.step(side), scene.shape(side)
    if step is not None and len(own) == rank and step.axis == axis and len(step.range) == count:
        return step.range, [same_channels(side, count)]
    place = axis - (rank - len(own))
    value_of = scene.value(side)
    if value_of is not None:
        return _along(value_of, place, count), []
    return (anything(count), []) if place < 0 or own[place] == 1 else None


def _along(value: Tensor, place: int, count: int) -> Range:
    """The ranges of the channels of a constant that stand along one of its axes."""
    if place < 0 or value.shape[place] == 1:
        low, high = value.double().min(), value.double().max()
        return Range(low.expand(count), high.expand(count))
    rows = value.double().transpose(0, place).reshape(count, -1)
    return Range(rows.amin(1), rows.amax(1))


def _combined(node: fx.Node, a: Range, b: Range, call: dict[str, Any]) -> Range:
    if node.target in (aten.add.Tensor, aten.sub.Tensor):
        alpha = float(call["alpha"])
        b = b.monotone(lambda x: x * alpha)
        return added(a, b if node.target is aten.add.Tensor else negated(b))
    if node.target is aten.mul.Tensor:
        return multiplied(a, b)
    if node.target is aten.maximum.default:
        return Range(torch.maximum(a.low, b.low), torch.maximum(a.high, b.high))
    if node.target is aten.minimum.default:
        return Range(torch.minimum(a.low, b.low), torch.minimum(a.high, b.high))
    sure = b.constant & (b.low != 0)
    zero = multiplied(a, Range(1 / b.low, 1 / b.low))
    free = torch.full_like(a.low, torch.inf)
    return Range(torch.where(sure, zero.low, -free), torch.where(sure, zero.high, free))


def _rewrite_pair(scene: Scene, node: fx.Node, axis: int, edit: Edit) -> None:
    """Constants with fewer channels, and constants for what is constant in all of them."""
    call, rank = arguments(node), len(scene.shape(node))
    keep = edit.keep[node]
    if _without(scene, node, call, edit):
        return
    for name in ("self", "other"):
        side = call[name]
        value, step = scene.value(side), scene.step(side)
        if value is not None:
            place = axis - (rank - value.dim())
            if place >= 0 and value.shape[place] > 1 and not bool(keep.all()):
                fewer = value.index_select(place, keep.nonzero().flatten())
                call[name] = edit.constant(node, side, "", fewer)
        elif step is not None and _all_known(scene, node, call, name, edit):
            fewer = step.range.low[edit.keep[side]].to(scene.shapes[0][side.name].dtype)
            shape = [-1 if k == step.axis else 1 for k in range(len(scene.shape(side)))]
            call[name] = edit.constant(node, None, f"{node.name}_constant", fewer.view(shape))
    set_arguments(node, call)


def _all_known(scene: Scene, node: fx.Node, call: dict[str, Any], name: str, edit: Edit) -> bool:
    """Whether one side is constant, and the other one alone gives the shape."""
    side, other = call[name], call["other" if name == "self" else "self"]
    step = scene.step(side)
    if step is None or not isinstance(other, fx.Node) or other.op == "get_attr":
        return False
    whole = all(scene.shape(other, k) == scene.shape(node, k) for k in (0, 1))
    return whole and bool(step.range.constant[edit.keep[side]].all())


def _without(scene: Scene, node: fx.Node, call: dict[str, Any], edit: Edit) -> bool:
    """Take out a sum with nothing but zeros."""
    if node.target not in (aten.add.Tensor, aten.sub.Tensor):
        return False
    for name, rest in (("other", "self"), ("self", "other")):
        if name == "self" and (node.target is aten.sub.Tensor or call["alpha"] != 1):
            continue
        side, step = call[name], scene.step(call[name])
        if step is None or not _all_known(scene, node, call, name, edit):
            continue
        dtypes = {scene.shapes[0][n.name].dtype for n in (node, call[rest])}
        if len(dtypes) == 1 and not bool(step.range.low[edit.keep[side]].any()):
            node.replace_all_uses_with(call[rest])
            edit.erase(node)
            return True
    return False
