"""Operations that put all channels elsewhere: reshapes, permutations, expansions."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.ranges import Range
from winnow.deployment.shrink.steps import Link, Scene, Step, passed

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
    sizes: Any = node.args[1] if node.target is aten.reshape.default else None
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
    step = scene.step(source)
    if step is None:
        return None
    order = _order(node, scene.shape(source))
    if step.axis not in order:  # squeezed, now or once one channel is left
        return None
    return passed(scene, source, order.index(step.axis))


def _order(node: fx.Node, shape: tuple[int, ...]) -> list[int]:
    """Which axis of a shape each axis of the result is; -1 for new ones and for those that a
    squeeze names, but that it leaves, as they are longer than 1.
    """
    rank, order = len(shape), list(range(len(shape)))
    given = [_numbers(one) for one in node.args[1:]]
    if node.target is aten.permute.default:
        return [d % rank for d in given[0]]
    if node.target is aten.unsqueeze.default:
        order.insert(given[0][0] % (rank + 1), -1)
    elif node.target in (aten.squeeze.dim, aten.squeeze.dims):
        gone = {d % rank for d in given[0]}
        return [-1 if d in gone else d for d in order if d not in gone or shape[d] != 1]
    elif rank > 1:  # a transposition
        a, b = (d[0] % rank for d in (given or [[0], [1]]))
        order[a], order[b] = order[b], order[a]
    return order


def _numbers(given: Any) -> list[int]:
    return [int(d) for d in given] if isinstance(given, (list, tuple)) else [int(given)]
