"""Operations that mix the positions of each channel: pools, means, interpolations."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from winnow.deployment.shrink.steps import Scene, Step, passed
from winnow.deployment.simplify import arguments

aten: Any = torch.ops.aten


def of_reduction(scene: Scene, node: fx.Node) -> Step | None:
    """A mean, maximum, minimum or sum over positions, not over channels."""
    call = arguments(node)
    source: Any = node.args[0]
    step, rank = scene.step(source), len(scene.shape(source))
    dims = call["dim"]
    if step is None or dims is None or (dims == [] or step.axis in {d % rank for d in dims}):
        return None
    over = {d % rank for d in dims}
    axis = step.axis if call["keepdim"] else step.axis - sum(d < step.axis for d in over)
    added = node.target is aten.sum.dim_IntList
    return passed(scene, source, axis, step.range.only_zeros() if added else None)


def of_pool(scene: Scene, node: fx.Node) -> Step | None:
    """What takes the mean or maximum of positions of each channel (B, C, …)."""
    source: Any = node.args[0]
    step = scene.step(source)
    if step is None or step.axis != 1 or len(scene.shape(source)) != POOLS[node.target]:
        return None
    call = arguments(node)
    border = any(_list(call.get("padding"))) and bool(call.get("count_include_pad"))
    if call.get("divisor_override") is not None:
        return passed(scene, source, 1, step.range.only_zeros())
    if "count_include_pad" in call and (border or call["ceil_mode"]):
        return passed(scene, source, 1, step.range.with_zero())
    return passed(scene, source, 1)


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


POOLS = {
    aten.max_pool1d.default: 3, aten.max_pool2d.default: 4, aten.max_pool3d.default: 5,
    aten.avg_pool1d.default: 3, aten.avg_pool2d.default: 4, aten.avg_pool3d.default: 5,
    aten.adaptive_avg_pool1d.default: 3, aten.adaptive_avg_pool2d.default: 4,
    aten.adaptive_avg_pool3d.default: 5, aten.upsample_nearest1d.vec: 3,
    aten.upsample_nearest2d.vec: 4, aten.upsample_nearest3d.vec: 5,
    aten.upsample_linear1d.vec: 3, aten.upsample_bilinear2d.vec: 4,
    aten.upsample_trilinear3d.vec: 5,
}  # fmt: skip
"""Pools and interpolations by the rank of what they take; without a batch it is one less."""
