"""The map of every value of a graph: how wide its border must be."""

from __future__ import annotations

from typing import Any

from winnow.engine.sparse_cpu.graph.kinds import OperationKind
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.graph.trace import TracedNode
from winnow.engine.sparse_cpu.graph.window import Window


def maps_of(nodes: list[TracedNode]) -> dict[TracedNode, Map]:
    """The map of every value: what is blended together has one border, the widest needed."""
    leader = {node: node for node in nodes}

    def find(node: TracedNode) -> TracedNode:
        while leader[node] is not node:
            node = leader[node]
        return node

    border = dict.fromkeys(nodes, 0)
    for node in nodes:
        if node.kind.keeps_map:
            for source in node.inputs:
                leader[find(source)] = find(node)
    for node in nodes:
        if node.kind is OperationKind.CONVOLUTION:
            module: Any = node.module
            assert node.inputs[0].shape is not None
            window = Window(module.kernel_size, *node.options)
            inside, outside = window.borders(*node.inputs[0].shape[1:])
            for n, needed in ((node.inputs[0], inside), (node, outside)):
                border[find(n)] = max(border[find(n)], needed)
    return {n: Map(*_sizes(n.map_shape), border[find(n)]) for n in nodes if n.map_shape}


def _sizes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])
