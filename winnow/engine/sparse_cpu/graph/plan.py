"""From the nodes of a trace to operations over activations, fused where one pass can do the work.

A product takes the ReLU that follows it; batch norms, a residual sum and a ReLU become one blend.
Neighbours that torch runs become one part. Operations have levels: a node is in the level of
its inputs, or in the next where one of them is run by the other side, so that a part has all its
inputs before it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from winnow.engine.sparse_cpu.graph.activations import Activation, BackSums, Normed, new_buffer
from winnow.engine.sparse_cpu.graph.blend import Blend, Branch
from winnow.engine.sparse_cpu.graph.borders import maps_of
from winnow.engine.sparse_cpu.graph.dropout import Dropout
from winnow.engine.sparse_cpu.graph.kinds import OperationKind
from winnow.engine.sparse_cpu.graph.lists import LayerLists, convolution_lists, linear_lists
from winnow.engine.sparse_cpu.graph.norm import Norm
from winnow.engine.sparse_cpu.graph.operation import Operation
from winnow.engine.sparse_cpu.graph.pooling import AVERAGE, MAXIMUM, Pooling, PoolingKind
from winnow.engine.sparse_cpu.graph.product import Product
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.graph.streaming import Strips, streams
from winnow.engine.sparse_cpu.graph.torch_part import Loose, TorchPart
from winnow.engine.sparse_cpu.graph.trace import TracedNode
from winnow.engine.sparse_cpu.places import Places, bits_of
from winnow.mask import Mask


@dataclass
class GraphPlan:
    """The operations in order, the activations that they work on, and which weights are kept where.

    ``uses``: the places of the operations that use an activation. ``kept``: for each weight of a
    product, the places of its trained entries. ``parts``: those operations that torch runs.
    """

    operations: list[Operation] = field(default_factory=list)
    activations: dict[TracedNode, Activation] = field(default_factory=dict)
    uses: dict[Activation, list[int]] = field(default_factory=dict)
    kept: dict[str, Places] = field(default_factory=dict)
    parts: list[TorchPart] = field(default_factory=list)


def graph_plan(
    model: nn.Module,
    nodes: list[TracedNode],
    mask: Mask | None,
    batch: int,
    capacity: int,
    storage: Storage = Storage.FLOAT32,
) -> GraphPlan:
    """The operations of a traced network whose weights have this mask.

    ``batch``: examples of a step, which shape the lists of nonzeros. ``capacity``: the most
    examples that its buffers ever hold.
    """
    planner = _Planner(model, nodes, mask, batch, capacity, storage)
    for node in planner.nodes:
        if node not in planner.done:
            _PLANNED[node.kind](planner, node)
    return planner.plan


def levels(nodes: list[TracedNode]) -> dict[TracedNode, int]:
    """The level of each node; whatever draws random numbers keeps its order."""
    level: dict[TracedNode, int] = {}
    last: TracedNode | None = None
    for node in nodes:
        before = [*node.inputs, *([last] if node.random and last is not None else [])]
        level[node] = max((level[b] + (b.in_torch != node.in_torch) for b in before), default=0)
        last = node if node.random else last
    return level


class _Planner:
    """What the plan needs to know of all nodes, and the plan as far as it is made."""

    def __init__(
        self,
        model: nn.Module,
        nodes: list[TracedNode],
        mask: Mask | None,
        batch: int,
        capacity: int,
        storage: Storage,
    ) -> None:
        self.model, self.mask, self.plan = model, mask, GraphPlan()
        self.batch, self.capacity, self.storage = batch, capacity, storage
        self.level = levels(nodes)
        order = {node: i for i, node in enumerate(nodes)}
        self.nodes = sorted(nodes, key=lambda n: (self.level[n], n.in_torch, order[n]))
        self.trained = _trained(nodes)
        self.maps = maps_of(nodes)
        self.unstored, self.strips = streams(nodes, self.maps, batch, storage)
        self.loose = Loose()
        self.done: set[TracedNode] = set()

    # ---- activations

    def _activation(
        self,
        node: TracedNode,
        *,
        rectified: bool = False,
        back_sums: BackSums | None = None,
        normed: Normed | None = None,
    ) -> Activation:
        """A new activation: the result of a node; not stored where it is ``normed``."""
        shape = self.maps[node]
        buffer = [] if normed is not None else new_buffer(shape, self.capacity, self.storage)
        value = Activation(shape, buffer, self.trained[node], rectified, back_sums, normed)
        self.plan.activations[node] = value
        self.plan.uses[value] = []
        return value

    def _use(self, node: TracedNode) -> Activation:
        """An activation for the operation that is made next."""
        value = self.plan.activations[node]
        self.plan.uses[value].append(len(self.plan.operations))
        return value

    def _only_user(self, node: TracedNode, kind: OperationKind) -> TracedNode | None:
        """The one user of a node, if it is of this kind."""
        user = node.users[0] if len(node.users) == 1 else None
        return user if user is not None and user.kind is kind else None

    def _with_relu(self, node: TracedNode) -> TracedNode:
        """The ReLU that alone uses a node, which is done with it then; else the node."""
        last = self._only_user(node, OperationKind.RELU) or node
        self.done.add(last)
        return last

    # ---- kinds

    def input(self, node: TracedNode) -> None:
        self._activation(node)

    def view(self, node: TracedNode) -> None:
        self.plan.activations[node] = self.plan.activations[node.inputs[0]]

    def convolution(self, node: TracedNode) -> None:
        stride, padding = node.options
        strips = self.strips[node]
        listed = partial(
            convolution_lists,
            stride=stride,
            padding=padding,
            x_strip=strips.x,
            delta_strip=strips.delta,
        )
        self._product(node, listed, strips)

    def linear(self, node: TracedNode) -> None:
        self._product(node, linear_lists, Strips())

    def _product(self, node: TracedNode, listed: Callable[..., LayerLists], strips: Strips) -> None:
        module: Any = node.module
        x = self._use(node.inputs[0])
        last = self._with_relu(node)
        out = self._activation(last, rectified=last is not node)
        name = f"{node.name}.weight"
        keep = bits_of(self.mask, name, tuple(module.weight.shape))
        lists_of = partial(listed, source=x.map, target=out.map, batch=self.batch)
        bias = None if module.bias is None else f"{node.name}.bias"
        product = Product(lists_of, name, bias, x, out, strips)
        self.plan.kept[name] = product.relist(keep)
        self.plan.operations.append(product)

    def norm(self, node: TracedNode) -> None:
        if self._only_user(node, OperationKind.ADD) is None:  # else the sum does it
            self._blend(node, [node])

    def relu(self, node: TracedNode) -> None:
        self._blend(node, [node.inputs[0]], relu=True)

    def add(self, node: TracedNode) -> None:
        self._blend(node, node.inputs)

    def _blend(self, node: TracedNode, sources: list[TracedNode], relu: bool = False) -> None:
        """The sum of sources; a batch norm among them that nothing else uses is done here."""
        branches = [self._branch(source) for source in sources]
        last = node if relu else self._with_relu(node)
        wanted = (b.back_sums for b in branches if b.back_sums is not None)
        out = self._activation(
            last,
            rectified=relu or last is not node,
            back_sums=next(wanted, None),
            normed=branches[0].normed if last in self.unstored else None,
        )
        self.plan.operations.append(Blend(branches, out, len(self.plan.operations)))

    def _branch(self, source: TracedNode) -> Branch:
        if source.kind is not OperationKind.NORM or source in self.plan.activations:
            return Branch(self._use(source), None)
        value = self._use(source.inputs[0])
        norm = Norm(source.name, source.module, value.map.channels)
        summed, reader = False, None
        for place, operation in enumerate(self.plan.operations):
            if isinstance(operation, Product) and operation.out is value:
                summed = operation.serve(norm)
                reader = place if operation.strips.through_norm else None
        return Branch(value, norm, summed=summed, reader=reader)

    def maximum(self, node: TracedNode) -> None:
        self._pooling(node, MAXIMUM)

    def average(self, node: TracedNode) -> None:
        self._pooling(node, AVERAGE)

    def _pooling(self, node: TracedNode, kind: PoolingKind) -> None:
        x = self._use(node.inputs[0])
        self.plan.operations.append(Pooling(kind, node.options, x, self._activation(node)))

    def dropout(self, node: TracedNode) -> None:
        assert node.shape is not None
        x = self._use(node.inputs[0])
        self.plan.operations.append(Dropout(node.options[0], node.shape, x, self._activation(node)))

    def torch(self, node: TracedNode) -> None:
        """All nodes of this level that torch runs."""
        inside = [n for n in self.nodes if n.in_torch and self.level[n] == self.level[node]]
        self.done.update(inside)
        used = {s: None for n in inside for s in n.inputs}
        inputs = {s: self._use(s) for s in used if not s.in_torch}
        outputs, lent = {}, []
        for n in inside:
            others = [u for u in n.users if u not in inside]
            if any(not u.in_torch for u in others) or not n.users:
                outputs[n] = self._activation(n)
            if any(u.in_torch for u in others):
                lent.append(n)
        part = TorchPart(self.model, inside, inputs, outputs, lent, self.loose)
        self.plan.operations.append(part)
        self.plan.parts.append(part)


_PLANNED: Mapping[OperationKind, Callable[[_Planner, TracedNode], None]] = {
    OperationKind.INPUT: _Planner.input,
    OperationKind.VIEW: _Planner.view,
    OperationKind.CONVOLUTION: _Planner.convolution,
    OperationKind.LINEAR: _Planner.linear,
    OperationKind.NORM: _Planner.norm,
    OperationKind.RELU: _Planner.relu,
    OperationKind.ADD: _Planner.add,
    OperationKind.MAXIMUM: _Planner.maximum,
    OperationKind.AVERAGE: _Planner.average,
    OperationKind.DROPOUT: _Planner.dropout,
    OperationKind.TORCH: _Planner.torch,
}


def _trained(nodes: list[TracedNode]) -> dict[TracedNode, bool]:
    """Whether a node's value depends on anything that is trained."""
    trained: dict[TracedNode, bool] = {}
    for node in nodes:
        own = node.module is not None and any(True for _ in node.module.parameters())
        own = own or node.traced.op == "get_attr"
        trained[node] = own or any(trained[source] for source in node.inputs)
    return trained
