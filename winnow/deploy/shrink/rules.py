"""The rule for each operation that is followed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from winnow.deploy.shrink import moves, pointwise, weights
from winnow.deploy.shrink.ranges import Range
from winnow.deploy.shrink.steps import Scene, Step
from winnow.deploy.simplify import arguments

aten: Any = torch.ops.aten


def step_of(scene: Scene, node: fx.Node) -> Step | None:
    """What is known of a node; None for what is not followed."""
    if node.op != "call_function" or (not scene.shape(node) and node not in _lists(scene, node)):
        return None
    if node.target in pointwise.SINGLE and not _more_nodes(node):
        return pointwise.of_single(scene, node)
    rule = _RULES.get(node.target)
    return None if rule is None else rule(scene, node)


def _lists(scene: Scene, node: fx.Node) -> list[fx.Node]:
    """The node, if it gives a list of tensors."""
    return [node] if isinstance(scene.shapes[0].get(node.name), (list, tuple)) else []


def _more_nodes(node: fx.Node) -> bool:
    """Whether other arguments than the first are computed."""
    found: list[fx.Node] = []
    fx.node.map_arg((node.args[1:], node.kwargs), lambda n: found.append(n) or n)
    return bool(found)


def _of_embedding(scene: Scene, node: fx.Node) -> Step | None:
    """The columns of a table that nothing else uses are channels."""
    table = scene.value(node.args[0])
    name = str(getattr(node.args[0], "target", ""))
    if table is None or scene.uses[name] > 1 or not table.is_floating_point():
        return None
    made = Range(table.amin(0), table.amax(0))

    def rewrite(edit: Any) -> None:
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
    aten.mean.dim: moves.of_reduction,
    aten.sum.dim_IntList: moves.of_reduction,
    aten.amax.default: moves.of_reduction,
    aten.amin.default: moves.of_reduction,
    aten.select.int: moves.of_select,
    aten.slice.Tensor: moves.of_slice,
    aten.split.Tensor: moves.of_split,
    aten.split_with_sizes.default: moves.of_split,
    operator.getitem: moves.of_getitem,
    aten.cat.default: moves.of_cat,
    aten.pad.default: moves.of_pad,
    aten.constant_pad_nd.default: moves.of_pad,
    aten.batch_norm.default: pointwise.of_batch_norm,
    aten.prelu.default: pointwise.of_prelu,
    aten.embedding.default: _of_embedding,
    **dict.fromkeys(moves.POOLS, moves.of_pool),
    **dict.fromkeys(pointwise.PAIRS, pointwise.of_pair),
    **dict.fromkeys(weights.LAYERS, weights.of_layer),
}
