"""A constant that is added to what a layer gives is part of its bias."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.steps import Scene
from winnow.deployment.shrink.weights import LAYERS
from winnow.deployment.simplify import arguments, constant, set_arguments

aten: Any = torch.ops.aten


def absorbed(edit: Edit, scene: Scene) -> None:
    """Move what sums add to single channels into the biases of the layers before them."""
    for node in list(edit.graph.nodes):
        if node.target is aten.add.Tensor:
            _absorb(edit, scene, node)


def _absorb(edit: Edit, scene: Scene, node: fx.Node) -> None:
    call = arguments(node)
    layer, value = call["self"], constant(edit.constants, call["other"])
    if value is None:
        layer, value = call["other"], constant(edit.constants, call["self"])
    if value is None or call["alpha"] != 1 or not isinstance(layer, fx.Node):
        return
    if layer.target not in LAYERS or len(layer.users) > 1:
        return
    given = arguments(layer)
    weight, bias = (constant(edit.constants, given[name]) for name in ("weight", "bias"))
    vector = _vector(value, layer, len(scene.shape(layer)))
    if weight is None or vector is None or (bias is None and given["bias"] is not None):
        return
    if not weight.dtype == value.dtype == scene.shapes[0][node.name].dtype:
        return
    rows = _rows(weight, given)
    if len(vector) not in (1, rows):
        return
    total = vector.double().expand(rows) + (0 if bias is None else bias.double())
    name = f"{str(given['weight'].target).removesuffix('weight')}bias"
    given["bias"] = edit.constant(layer, given["bias"], name, total.to(weight.dtype))
    set_arguments(layer, given)
    node.replace_all_uses_with(layer)
    edit.erase(node)


def _rows(weight: Tensor, given: dict[str, Any]) -> int:
    turned = "output_padding" in given
    return weight.shape[1] * int(given["groups"]) if turned else len(weight)


def _vector(value: Tensor, layer: fx.Node, rank: int) -> Tensor | None:
    """A constant that differs along the channels of a layer alone, as (C,) or (1,)."""
    axis = rank - 1 if layer.target is aten.linear.default else 1
    place = axis - (rank - value.dim())
    if value.dim() > rank or any(s != 1 for k, s in enumerate(value.shape) if k != place):
        return None
    return value.flatten()
