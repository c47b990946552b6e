"""Which activations, and which gradients, are computed strip by strip and never stored.

A batch norm (with its ReLU, if one follows) whose result only convolutions read: they compute it
from what comes into the norm. The gradient by the output of a convolution that only a batch norm
reads: its way back computes it from the gradient by what comes out of the norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from winnow.engine.sparse_cpu.graph.kinds import OperationKind
from winnow.engine.sparse_cpu.graph.map import Map, group_count
from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.graph.strips import Strip
from winnow.engine.sparse_cpu.graph.trace import TracedNode
from winnow.engine.sparse_cpu.graph.window import Window
from winnow.kernels.simd import W

_SCRATCH = 160_000  # floats of all strips of a product: with what else it reads, in a 1 MiB cache
_MOST = 230_000  # of strips that cannot be lower
_FEWEST = 4  # rows of a strip, where a map has more


@dataclass(frozen=True)
class Strips:
    """How a convolution reads: from strips, or from what is stored where there are none.

    ``through_norm``: the gradient in strips is what a batch norm makes of the one after it.
    """

    x: Strip | None = None
    delta: Strip | None = None
    through_norm: bool = False


def streams(
    nodes: Sequence[TracedNode], maps: Mapping[TracedNode, Map], batch: int, storage: Storage
) -> tuple[frozenset[TracedNode], dict[TracedNode, Strips]]:
    """The nodes that are never stored, and the strips of each convolution.

    What is stored as bf16 is read from strips too, where it is float32 again.
    """
    copies = storage is Storage.BF16
    convolutions = [node for node in nodes if node.kind is OperationKind.CONVOLUTION]
    wanted = {last for node in nodes if (last := _last_of_norm(node)) is not None}
    wanted.discard(nodes[-1])
    for node in convolutions:
        if not _fitting(node, maps, batch, x=True, delta=copies or _is_normed(node)):
            wanted.discard(node.inputs[0])
    strips = {
        node: _fitting(
            node,
            maps,
            batch,
            x=copies or node.inputs[0] in wanted,
            delta=copies or _is_normed(node),
        )
        for node in convolutions
    }
    return frozenset(wanted), {node: fits or Strips() for node, fits in strips.items()}


def _last_of_norm(node: TracedNode) -> TracedNode | None:
    """The result of a norm, after its ReLU, if only convolutions read it."""
    if node.kind is not OperationKind.NORM:
        return None
    alone = len(node.users) == 1 and node.users[0].kind is OperationKind.RELU
    last = node.users[0] if alone else node
    read = last.users and all(user.kind is OperationKind.CONVOLUTION for user in last.users)
    return last if read else None


def _is_normed(node: TracedNode) -> bool:
    """Whether a norm alone reads the output; its sums make no gradient of a bias."""
    module: Any = node.module
    alone = len(node.users) == 1 and node.users[0].kind is OperationKind.NORM
    return alone and module.bias is None


def _fitting(
    node: TracedNode, maps: Mapping[TracedNode, Map], batch: int, *, x: bool, delta: bool
) -> Strips | None:
    """The highest strips that fit the scratch; None if there are none."""
    source, target = maps[node.inputs[0]], maps[node]
    module: Any = node.module
    window = Window(tuple(module.kernel_size), *node.options)
    grid = np.array([group_count(batch), target.height, target.width, 0, 0, W, 0, 0, 0], np.int64)
    deep = max(region.shape.groups for region in regions(grid))
    rows = rows_of(window, source, target)
    while True:
        strips = strips_of(window, source, target, rows)
        used = Strips(strips.x if x else None, strips.delta if delta else None)
        most = _MOST if rows <= _FEWEST else _SCRATCH
        if deep * sum(s.group for s in (used.x, used.delta) if s is not None) <= most:
            return replace(used, through_norm=delta and _is_normed(node))
        if rows <= _FEWEST:
            return None
        rows = max(rows // 2 // _FEWEST * _FEWEST, _FEWEST)


def rows_of(window: Window, source: Map, target: Map) -> int:
    """The most rows that a product of a convolution has, forward or back to some residue."""
    return max(target.height, -(-source.height // window.stride[0]))


def strips_of(window: Window, source: Map, target: Map, rows: int) -> Strips:
    """What so many rows of a convolution read: of its input, and of the gradient by its output.

    ``rows``: all that there are (`rows_of`), or a multiple of the highest block's.
    """
    high, stride, padding = window.kernel[0], window.stride[0], window.padding[0]
    x = Strip(source, rows, stride, padding, stride * (rows - 1) + high)
    taps = [
        (residue + padding - tap) // stride
        for residue in range(min(stride, source.height))
        for tap in range((residue + padding) % stride, high, stride)
    ]
    above, below = max(0, -min(taps, default=0)), max(0, *taps, 0)
    return Strips(x, Strip(target, rows, 1, above, rows + above + below))
