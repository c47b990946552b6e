"""The rule for each operation that is followed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from winnow.deployment.shrink import moves, norms, parts, pointwise, pools, weights
from winnow.deployment.shrink.edit import Edit, given_nodes
from winnow.deployment.shrink.ranges import Range
from winnow.deployment.shrink.steps import Scene, Step
from winnow.deployment.simplify import arguments

aten: Any = torch.ops.aten


def step_of(scene: Scene, node: fx.Node) -> Step | None:
    """What is known of a node; None for what is not followed."""
    if node.op != "call_function" or not _gives_tensors(scene, node):
        return None
    if node.target in pointwise.SINGLE and not given_nodes((node.args[1:], node.kwargs)):
        return pointwise.of_single(scene, node)
    rule = _RULES.get(node.target)
    return None if rule is None else rule(scene, node)


def _gives_tensors(scene: Scene, node: fx.Node) -> bool:
    value = scene.shapes[0].get(node.name)
    return bool(scene.shape(node)) or isinstance(value, (list, tuple))


def _of_embedding(scene: Scene, node: fx.Node) -> Step | None:
    """The columns of a table that nothing else uses are channels."""
    table = scene.value(node.args[0])
    name = str(getattr(node.args[0], "target", ""))
    if table is None or scene.uses[name] > 1 or not table.is_floating_point():
        return None
    made = Range(table.amin(0), table.amax(0))

    def rewrite(edit: Edit) -> None:
        if edit.goes(node):
            call = arguments(node)
            fewer = table[:, edit.keep[node]]
            call["weight"] = edit.constant(node, call["weight"], name, fewer)
            node.args = (call["weight"], *node.args[1:])

    return Step(len(scene.shape(node)) - 1, made, rewrite=rewrite)


_RULES: dict[Any, Callable[[Scene, fx.Node], Step | None]] = {
    aten.reshape.default: moves.of_reshape,
    aten.flatten.using_ints: moves.of_reshape,
    aten.expand.default: moves.of_expand,
    aten.permute.default: moves.of_axes,
    aten.transpose.int: moves.of_axes,
    aten.t.default: moves.of_axes,
    aten.unsqueeze.default: moves.of_axes,
    aten.squeeze.dim: moves.of_axes,
    aten.squeeze.dims: moves.of_axes,
    aten.mean.dim: pools.of_reduction,
    aten.sum.dim_IntList: pools.of_reduction,
    aten.amax.default: pools.of_reduction,
    aten.amin.default: pools.of_reduction,
    aten.select.int: parts.of_select,
    aten.slice.Tensor: parts.of_slice,
    aten.split.Tensor: parts.of_split,
    aten.split_with_sizes.default: parts.of_split,
    operator.getitem: parts.of_getitem,
    aten.cat.default: parts.of_cat,
    aten.pad.default: parts.of_pad,
    aten.constant_pad_nd.default: parts.of_pad,
    aten.batch_norm.default: norms.of_batch_norm,
    aten.prelu.default: norms.of_prelu,
    aten.embedding.default: _of_embedding,
    **dict.fromkeys(pools.POOLS, pools.of_pool),
    **dict.fromkeys(pointwise.PAIRS, pointwise.of_pair),
    **dict.fromkeys(weights.LAYERS, weights.of_layer),
}
