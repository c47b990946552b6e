"""Operations that put channels elsewhere: reshapes, permutations, parts, concatenations, pools."""

from __future__ import annotations

import math
import operator
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from winnow.deploy.shrink.edit import Edit
from winnow.deploy.shrink.ranges import Range, anything, either, joined
from winnow.deploy.shrink.steps import Link, Scene, Step, passed, same_channels
from winnow.deploy.simplify import arguments, set_arguments

aten: Any = torch.ops.aten


def of_reshape(scene: Scene, node: fx.Node) -> Step | None:
    """Channels become an axis of their own, or one together with positions, or are cut in equal
    blocks, which stay or go as one.
    """
    source = node.args[0]
    step = scene.step(source)
    if step is None or not isinstance(source, fx.Node):
        return None
    found = {_regrouped(scene.shape(source, k), scene.shape(node, k), step.axis) for k in (0, 1)}
    if len(found) > 1 or None in found:
        return None
    axis, before, after, inner = found.pop() or (0, 0, 0, 0)
    sizes = node.args[1] if node.target is aten.reshape.default else None
    if sizes is not None and not isinstance(sizes[axis], int):
        return None
    rewrite = partial(_resize, node, axis) if sizes is not None else None
    count = len(step.range)
    channels = torch.arange(count)
    if inner > 1:
        blocks = Link(source, channels // inner, channels)
        low, high = (side.view(-1, inner) for side in (step.range.low, step.range.high))
        return Step(axis, Range(low.amin(1), high.amax(1)), (blocks,), rewrite=rewrite)
    into = channels.view(1, -1, 1).expand(before, -1, after).reshape(-1)
    link = Link(source, torch.arange(len(into)), into)
    return Step(axis, step.range.at(into), (link,), rewrite=rewrite)


def _regrouped(
    shape: tuple[int, ...], after: tuple[int, ...], axis: int
) -> tuple[int, int, int, int] | None:
    """Where an axis of C channels goes when a shape becomes another.

    The new axis; how often all channels stand there one after the other, how often each, and how
    many of them are one place there.
    """
    for place, size in enumerate(after):
        start = math.prod(after[:place])
        for first in range(axis, -1, -1):
            if math.prod(shape[:first]) != start:
                continue
            for last in range(axis + 1, len(shape) + 1):
                if math.prod(shape[first:last]) == size:
                    return (
                        place,
                        math.prod(shape[first:axis]),
                        math.prod(shape[axis + 1 : last]),
                        1,
                    )
        if start == math.prod(shape[:axis]) and size > 1 and shape[axis] % size == 0:
            ends = [math.prod(after[place:end]) for end in range(place + 1, len(after) + 1)]
            if shape[axis] in ends:
                return (place, 1, 1, shape[axis] // size)
    return None


def _resize(node: fx.Node, axis: int, edit: Edit) -> None:
    sizes: Any = list(node.args[1])  # type: ignore[arg-type]
    if sizes[axis] != -1:
        sizes[axis] = edit.count(node)
    node.args = (node.args[0], sizes)


def of_expand(scene: Scene, node: fx.Node) -> Step | None:
    """Repeated along other axes than that of the channels."""
    source: Any = node.args[0]
    step, rank = scene.step(source), len(scene.shape(node))
    if step is None:
        return None
    axis = step.axis + rank - len(scene.shape(source))
    if scene.shape(node)[axis] != len(step.range):
        return None
    return passed(scene, source, axis, rewrite=partial(_resize, node, axis))


def of_axes(scene: Scene, node: fx.Node) -> Step | None:
    """Other orders of axes, and axes of size 1 that come and go."""
    source: Any = node.args[0]
    step, shape = scene.step(source), scene.shape(source)
    if step is None:
        return None
    axis, rank = step.axis, len(shape)
    order = list(range(rank))
    given = node.args[1] if len(node.args) > 1 else None
    if node.target is aten.permute.default:
        order = [d % rank for d in _numbers(given)]
    elif node.target in (aten.transpose.int, aten.t.default):
        a, b = (0, 1) if node.target is aten.t.default else (given, node.args[2])
        if rank < 2:
            return passed(scene, source)
        a, b = int(a) % rank, int(b) % rank  # type: ignore[arg-type, call-overload]
        order[a], order[b] = order[b], order[a]
    elif node.target is aten.unsqueeze.default:
        order.insert(_numbers(given)[0] % (rank + 1), -1)
    elif node.target in (aten.squeeze.dim, aten.squeeze.dims):
        gone = {d % rank for d in _numbers(given)}
        if axis in gone:  # it would go when one channel is left
            return None
        order = [d for d in order if d not in gone or shape[d] != 1]
    return passed(scene, source, order.index(axis))


def _numbers(given: Any) -> list[int]:
    return [int(d) for d in given] if isinstance(given, (list, tuple)) else [int(given)]


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
    left = [int(part.sum()) for part in edit.keep[node].split(sizes)]
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
        axis, joined(ranges), tuple(links), torch.cat(fixed), None,
        partial(_fewer_parts, scene, node, axis),
    )  # fmt: skip


def _fewer_parts(scene: Scene, node: fx.Node, axis: int, edit: Edit) -> None:
    """Constants among the parts have fewer channels too."""
    call = arguments(node)
    keep = edit.keep[node].split([scene.shape(part)[axis] for part in call["tensors"]])
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
        step.axis, joined([ends[0], made, ends[1]]), (link,), None, None,
        partial(_pad_less, node, own, before, after),
    )  # fmt: skip


def _pad_less(node: fx.Node, place: int, before: int, after: int, edit: Edit) -> None:
    call, keep = arguments(node), edit.keep[node]
    pad = list(call["pad"])
    pad[place] = int(keep[:before].sum())
    pad[place + 1] = int(keep[len(keep) - after :].sum())
    call["pad"] = pad
    set_arguments(node, call)


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
