"""Which nodes of a network kernels run together, and which ones torch runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import fx

from winnow.deployment.runtime.recognise import (
    Known,
    UnfitError,
    is_layer,
    runs_in_kernels,
    steps_from,
)
from winnow.deployment.runtime.steps import ProductStep, StepList


@dataclass(frozen=True, eq=False)
class KernelPart:
    """Nodes that one program runs, the nodes that it needs and those that others need of it.

    ``layers``: for each product the node of its layer.
    """

    nodes: tuple[fx.Node, ...]
    inputs: tuple[fx.Node, ...]
    outputs: tuple[fx.Node, ...]
    steps: StepList
    layers: dict[ProductStep, fx.Node]


def kernel_parts(
    graph: fx.Graph, known: Known, in_torch: Collection[fx.Node] = ()
) -> list[KernelPart]:
    """The parts of a network that kernels can run, without the nodes that torch shall run.

    Neighbours are one part where no node of torch's lies between them. A part without a layer that
    has weights is left to torch.
    """
    left = set(in_torch)
    while True:
        try:
            return _parts(graph, known, left)
        except UnfitError as error:
            left.add(error.args[0])


def _parts(graph: fx.Graph, known: Known, left: Collection[fx.Node]) -> list[KernelPart]:
    ours = [n for n in graph.nodes if n not in left and runs_in_kernels(n, known)]
    made = (_part(nodes, known) for nodes in _connected(graph, ours))
    return [part for part in made if part.layers and part.outputs]


def _connected(graph: fx.Graph, ours: list[fx.Node]) -> list[list[fx.Node]]:
    """Nodes of one level that hand values to each other.

    A node is in the level of its inputs, or in the next where one of them is run by the other side:
    so a part has all its inputs before it begins.
    """
    chosen = set(ours)
    level: dict[fx.Node, int] = {}
    group: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        sources = [n for n in node.all_input_nodes if n.op != "get_attr"]
        side = node in chosen
        level[node] = max((level[s] + ((s in chosen) != side) for s in sources), default=0)
        if not side:
            continue
        group[node] = node
        for source in sources:
            if source in chosen and level[source] == level[node]:
                old, new = group[source], group[node]
                for other, leader in group.items():
                    if leader is old:
                        group[other] = new
    found: dict[fx.Node, list[fx.Node]] = {}
    for node in ours:
        found.setdefault(group[node], []).append(node)
    return list(found.values())


def _part(nodes: list[fx.Node], known: Known) -> KernelPart:
    inside = set(nodes)
    needed = dict.fromkeys(
        n
        for node in nodes
        for n in node.all_input_nodes
        if n not in inside and n.op != "get_attr" and known.shape(n) is not None  # sizes are not
    )
    wanted = [node for node in nodes if any(user not in inside for user in node.users)]
    inputs, outputs = tuple(needed), tuple(wanted)
    steps = steps_from(nodes, inputs, outputs, known)
    # in the order of nodes; two may have one weight
    products = [step for step in steps.steps if isinstance(step, ProductStep)]
    layers = dict(zip(products, filter(is_layer, nodes), strict=True))
    return KernelPart(tuple(nodes), inputs, outputs, steps, layers)
