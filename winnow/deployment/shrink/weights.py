"""Linear layers, convolutions and transposed ones: rows that they write, columns that they read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.ranges import Range, anything, weighted
from winnow.deployment.shrink.steps import Link, Scene, Step
from winnow.deployment.simplify import arguments, set_arguments

aten: Any = torch.ops.aten

_PLAIN = (aten.linear.default, aten.conv1d.default, aten.conv2d.default, aten.conv3d.default,
          aten.conv1d.padding, aten.conv2d.padding, aten.conv3d.padding)  # fmt: skip
_TURNED = (aten.conv_transpose1d.default, aten.conv_transpose2d.input,
           aten.conv_transpose3d.input)  # fmt: skip
LAYERS = (*_PLAIN, *_TURNED)


@dataclass(frozen=True, eq=False)
class WeightedLayer:
    """One call of a layer.

    ``weight`` (G, O, I, taps): its constant, for G groups. ``even``: a channel of one value
    everywhere gives one value everywhere, also at the border. ``given``: the ranges of its input.
    """

    node: fx.Node
    source: fx.Node
    weight: Tensor
    bias: Tensor | None
    even: bool
    given: Range

    def read(self, rows: Tensor) -> Tensor:
        """ChannelBits (G · I,): the channels that some weight of these rows (G · O,) reads."""
        groups, outputs = self.weight.shape[:2]
        some = (self.weight != 0).any(-1) & rows.view(groups, outputs, 1)
        return some.any(1).reshape(-1)

    def exempt(self) -> tuple[Tensor, Tensor]:
        """ChannelBits (I,): channels that the bias can take over, and those that can become one."""
        constant = self.given.constant
        if self.even:
            return constant, torch.zeros_like(constant)
        return constant & (self.given.low == 0), constant


def of_layer(scene: Scene, node: fx.Node) -> Step | None:
    """The step of a layer whose weight is a constant that nothing else uses."""
    call = arguments(node)
    weight, bias = scene.value(call["weight"]), scene.value(call["bias"])
    linear, source, rank = node.target is aten.linear.default, call["input"], len(scene.shape(node))
    if weight is None or (bias is None and call["bias"] is not None):
        return None
    if not weight.is_floating_point() or scene.uses[str(call["weight"].target)] > 1:
        return None  # two calls of one weight might need two
    if weight.dim() != (2 if linear else rank):  # an image without a batch
        return None
    groups = int(call.get("groups", 1))
    view = _by_rows(weight, groups, node.target in _TURNED)
    before, axis = scene.step(source), rank - 1 if linear else 1
    followed = before is not None and before.axis == axis
    inputs = view.shape[0] * view.shape[2]
    given = before.range if before is not None and followed else anything(inputs)
    even = linear or _even(call)
    layer = WeightedLayer(node, source, view, bias, even, given)
    links = () if groups == 1 else _whole_groups(layer)
    if links and not followed:
        return None
    made = weighted(view, bias, given if even else given.with_zero())
    reading = layer if followed else None
    return Step(axis, made, links, None, reading, partial(_rewrite, layer, made, followed))


def _by_rows(weight: Tensor, groups: int, turned: bool) -> Tensor:
    split = weight.reshape(groups, -1, weight.shape[1], weight[0, 0].numel())
    return split.transpose(1, 2) if turned else split


def _even(call: dict[str, Any]) -> bool:
    if "output_padding" in call:  # transposed: how many taps meet depends on the position
        return False
    padding = call["padding"]
    return padding == "valid" if isinstance(padding, str) else not any(padding)


def _whole_groups(layer: WeightedLayer) -> tuple[Link]:
    """All channels that a group reads and writes, together."""
    groups, outputs, inputs, _ = layer.weight.shape
    out = torch.arange(groups * outputs).view(groups, outputs, 1).expand(-1, -1, inputs)
    into = torch.arange(groups * inputs).view(groups, 1, inputs).expand(-1, outputs, -1)
    return (Link(layer.source, out.reshape(-1), into.reshape(-1)),)


def _rewrite(layer: WeightedLayer, made: Range, followed: bool, edit: Edit) -> None:
    """Fewer rows and columns; rows that decide nothing are zeros and a bias."""
    rows = edit.keep[layer.node]
    columns = (
        edit.keep[layer.source] if followed else torch.ones(len(layer.given), dtype=torch.bool)
    )
    settled = (~edit.needed[layer.node] | made.constant) & _nonzero_rows(layer.weight)
    if bool(rows.all() & columns.all() & ~settled.any()):
        return
    groups, outputs = layer.weight.shape[:2]
    weight = layer.weight.clone()
    weight[settled.view(groups, outputs)] = 0
    bias = torch.zeros(len(rows), dtype=torch.float64)
    bias = bias if layer.bias is None else layer.bias.double()
    bias = torch.where(settled, made.inside, bias)
    if groups == 1:
        if layer.even:
            bias = bias + _taken_over(weight[0], layer.given, ~columns)
        else:
            weight[0] = _merged(weight[0], layer.given, columns)
        weight = weight[:, rows][:, :, columns]
    else:
        weight = weight[rows.view(groups, outputs)[:, 0]]
    _replace(layer, weight, bias[rows], edit)


def _nonzero_rows(weight: Tensor) -> Tensor:
    return (weight != 0).any(-1).any(-1).reshape(-1)


def _taken_over(weight: Tensor, given: Range, gone: Tensor) -> Tensor:
    """What constant channels (I,) that go add to each row of a weight (O, I, taps), in float64."""
    index = (gone & given.constant).nonzero().flatten()
    return weight[:, index].double().sum(-1) @ given.low[index]


def _merged(weight: Tensor, given: Range, keep: Tensor) -> Tensor:
    """Where zeros surround the image: one constant channel that stays does the work of those
    that go.
    """
    constant = given.constant & (given.low != 0) & (weight != 0).any(-1).any(0)
    gone = (constant & ~keep).nonzero().flatten()
    if not len(gone):
        return weight
    stays = given.low.abs().masked_fill(~(given.constant & keep), 0)
    one = int(stays.argmax())
    ratio = given.low[gone] / given.low[one]
    sums = weight[:, one].double() + (weight[:, gone].double() * ratio.view(1, -1, 1)).sum(1)
    weight = weight.clone()
    weight[:, one] = sums.to(weight.dtype)
    return weight


def _replace(layer: WeightedLayer, weight: Tensor, bias: Tensor, edit: Edit) -> None:
    node, call = layer.node, arguments(layer.node)
    kernel = edit.constants[str(call["weight"].target)].shape[2:]
    if node.target in _TURNED:
        weight = weight.transpose(1, 2)
    if "groups" in call:
        call["groups"] = len(weight)
    name = str(call["weight"].target)
    whole = weight.reshape(-1, weight.shape[2], *kernel)
    call["weight"] = edit.constant(node, call["weight"], name, whole)
    if layer.bias is not None or bool(bias.any()):
        value = bias.to(weight.dtype if layer.bias is None else layer.bias.dtype)
        name = f"{name.removesuffix('weight')}bias"
        call["bias"] = edit.constant(node, call["bias"], name, value)
    set_arguments(node, call)
