"""Operations that take some of the channels, or put them beside others: splits, concatenations."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.ranges import Range, anything, either, in_a_row
from winnow.deployment.shrink.steps import Link, Scene, Step, passed, same_channels
from winnow.deployment.simplify import arguments, set_arguments

aten: Any = torch.ops.aten


def of_select(scene: Scene, node: fx.Node) -> Step | None:
    """One place of an axis, not of the channels'."""
    source: Any = node.args[0]
    step = scene.step(source)
    dim: Any = node.args[1]
    if step is None or (dim := dim % len(scene.shape(source))) == step.axis:
        return None
    return passed(scene, source, step.axis - (dim < step.axis))


def of_slice(scene: Scene, node: fx.Node) -> Step | None:
    """A stretch of an axis."""
    call = arguments(node)
    source = call["self"]
    step, rank = scene.step(source), len(scene.shape(source))
    if step is None:
        return None
    if call["dim"] % rank != step.axis:
        return passed(scene, source)
    start, end = call["start"] or 0, call["end"]
    if call["step"] != 1 or not isinstance(start, int) or not isinstance(end, (int, type(None))):
        return None
    index = torch.arange(len(step.range))[start:end]
    if not len(index):
        return None
    return _part(source, step, index, partial(_shorter, node, int(index[0])))


def _part(source: fx.Node, step: Step, index: Tensor, rewrite: Any = None) -> Step:
    link = Link(source, torch.arange(len(index)), index)
    return Step(step.axis, step.range.at(index), (link,), rewrite=rewrite)


def _shorter(node: fx.Node, start: int, edit: Edit) -> None:
    call = arguments(node)
    first = int(edit.keep[call["self"]][:start].sum())
    call["start"], call["end"] = first, first + edit.count(node)
    set_arguments(node, call)


def of_split(scene: Scene, node: fx.Node) -> Step | None:
    """All channels of what is split; `of_getitem` takes one part of them."""
    call = arguments(node)
    source = call["self"]
    step = scene.step(source)
    if step is None or any(user.target is not operator.getitem for user in node.users):
        return None
    if call["dim"] % len(scene.shape(source)) != step.axis:
        return passed(scene, source)
    sizes = [part.shape[step.axis] for part in scene.shapes[0][node.name]]
    return passed(scene, source, rewrite=partial(_resplit, node, sizes))


def _resplit(node: fx.Node, sizes: list[int], edit: Edit) -> None:
    if not edit.goes(node):
        return
    call = arguments(node)
    left = [int(part.sum()) for part in torch.split(edit.keep[node], sizes)]
    node.target = aten.split_with_sizes.default
    node.args, node.kwargs = (call["self"], left, call["dim"]), {}


def of_getitem(scene: Scene, node: fx.Node) -> Step | None:
    """A part of what was split."""
    source: Any = node.args[0]
    step, which = scene.step(source), node.args[1]
    if step is None or not isinstance(which, int):
        return None
    parts = scene.shapes[0][source.name]
    sizes = [part.shape[step.axis] for part in parts]
    if sum(sizes) != len(step.range):  # along another axis
        return passed(scene, source)
    start = sum(sizes[: which % len(sizes)])
    return _part(source, step, torch.arange(start, start + sizes[which]))


def of_cat(scene: Scene, node: fx.Node) -> Step | None:
    """One after the other: along the channels, or along positions."""
    call = arguments(node)
    parts, rank = list(call["tensors"]), len(scene.shape(node))
    along = call["dim"] % rank
    steps = [scene.step(part) for part in parts]
    followed = [step for step in steps if step is not None]
    if not followed or any(len(scene.shape(part)) != rank for part in parts):
        return None
    if any(step.axis == along for step in followed):
        return _side_by_side(scene, node, parts, along)
    if len(followed) < len(parts) or len({(s.axis, len(s.range)) for s in followed}) > 1:
        return None
    made = followed[0].range
    for step in followed[1:]:
        made = either(made, step.range)
    links = tuple(same_channels(part, len(made)) for part in parts)
    return Step(followed[0].axis, made, links)


def _side_by_side(scene: Scene, node: fx.Node, parts: list[fx.Node], axis: int) -> Step | None:
    links: list[Link] = []
    ranges: list[Range] = []
    fixed: list[Tensor] = []
    start = 0
    for part in parts:
        step, value, size = scene.step(part), scene.value(part), scene.shape(part)[axis]
        if size != scene.shape(part, 1)[axis]:
            return None
        whole = torch.arange(size)
        followed = step is not None and step.axis == axis
        if step is not None and followed:
            links.append(Link(part, whole + start, whole))
            ranges.append(step.range)
        elif value is not None and value.is_floating_point():
            rows = value.double().transpose(0, axis).reshape(size, -1)
            ranges.append(Range(rows.amin(1), rows.amax(1)))
        else:
            ranges.append(anything(size))
        fixed.append(torch.full((size,), not followed and value is None))
        start += size
    return Step(
        axis, in_a_row(ranges), tuple(links), torch.cat(fixed), None,
        partial(_fewer_parts, scene, node, axis),
    )  # fmt: skip


def _fewer_parts(scene: Scene, node: fx.Node, axis: int, edit: Edit) -> None:
    """Constants among the parts have fewer channels too."""
    call = arguments(node)
    sizes = [scene.shape(part)[axis] for part in call["tensors"]]
    keep = torch.split(edit.keep[node], sizes)
    parts = []
    for part, bits in zip(call["tensors"], keep, strict=True):
        value = scene.value(part)
        if value is not None and not bool(bits.all()):
            index = bits.nonzero().flatten()
            part = edit.constant(node, part, "", value.index_select(axis, index))
        parts.append(part)
    call["tensors"] = parts
    set_arguments(node, call)


def of_pad(scene: Scene, node: fx.Node) -> Step | None:
    """Around positions, and channels of one value before and after the others."""
    call = arguments(node)
    source, pad = call["self"], list(call["pad"])
    step, rank = scene.step(source), len(scene.shape(source))
    if step is None or not all(isinstance(amount, int) for amount in pad):
        return None
    value = 0.0 if call["value"] is None else float(call["value"])
    own = 2 * (rank - 1 - step.axis)
    before, after = (pad[own], pad[own + 1]) if own < len(pad) else (0, 0)
    others = any(amount for k, amount in enumerate(pad) if k not in (own, own + 1))
    constant = call.get("mode", "constant") == "constant"
    filled = Range(torch.tensor([value]), torch.tensor([value]))
    count = len(step.range)
    made = step.range
    if others and constant:
        made = either(made, filled.at(torch.zeros(count, dtype=torch.long)))
    if before == after == 0:
        return passed(scene, source, None, made)
    if not constant or before < 0 or after < 0:
        return None
    ends = [filled.at(torch.zeros(size, dtype=torch.long)) for size in (before, after)]
    link = Link(source, torch.arange(count) + before, torch.arange(count))
    return Step(
        step.axis, in_a_row([ends[0], made, ends[1]]), (link,), None, None,
        partial(_pad_less, node, own, before, after),
    )  # fmt: skip


def _pad_less(node: fx.Node, place: int, before: int, after: int, edit: Edit) -> None:
    call, keep = arguments(node), edit.keep[node]
    pad = list(call["pad"])
    pad[place] = int(keep[:before].sum())
    pad[place + 1] = int(keep[len(keep) - after :].sum())
    call["pad"] = pad
    set_arguments(node, call)
