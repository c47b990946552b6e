"""From the nodes of a trace to operations over values, fused where one pass can do the work.

A product takes the ReLU that follows it; batch norms, a residual sum and a ReLU become one blend.
Neighbours that torch runs become one part. Operations stand in levels: a node is in the level of
its inputs, or in the next where one of them is run by the other side, so that a part has all its
inputs before it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from torch import nn

from winnow.engine.sparse_cpu.blend import Blend, Branch, Norm
from winnow.engine.sparse_cpu.layout import Map
from winnow.engine.sparse_cpu.lists import Nonzeros, Window, convolution, linear
from winnow.engine.sparse_cpu.operations import Dropout, Pooling
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.places import Bits, Places, bits_of
from winnow.engine.sparse_cpu.product import Product
from winnow.engine.sparse_cpu.torch_part import Loose, TorchPart
from winnow.engine.sparse_cpu.trace import Node
from winnow.engine.sparse_cpu.values import Pool, Step, Value
from winnow.mask import Mask


class Operation(Protocol):
    """A step of the forward pass and of the way back, with its buffers.

    ``trained``: whether it takes part in the way back.
    """

    trained: bool

    def bind(self, parameters: Parameters) -> None:
        """Find the trained numbers."""

    def plan_back(self, pool: Pool) -> None:
        """Find buffers for gradients; called once, from the last operation to the first."""

    def begin(self) -> None:
        """Set to zero what a forward pass adds to."""

    def begin_back(self) -> None:
        """Set to zero what the way back adds to."""

    def steps(self) -> list[Step]:
        """From the inputs' buffers to the output's."""
        ...

    def steps_back(self) -> list[Step]:
        """From the gradient by the output to those by trained numbers and inputs."""
        ...


@dataclass
class Plan:
    """The operations in order, the values that they work on, and which weights are kept where.

    ``kept``: for each weight of a product, the places of its trained entries.
    """

    operations: list[Operation] = field(default_factory=list)
    values: dict[Node, Value] = field(default_factory=dict)
    kept: dict[str, Places] = field(default_factory=dict)
    parts: list[TorchPart] = field(default_factory=list)


def make_plan(model: nn.Module, nodes: list[Node], mask: Mask | None, batch: int) -> Plan:
    """The operations of a traced network whose weights have this mask."""
    return _Planner(model, nodes, mask, batch).plan


def levels(nodes: list[Node]) -> dict[Node, int]:
    """The level of each node; whatever draws random numbers keeps its order."""
    level: dict[Node, int] = {}
    last: Node | None = None
    for node in nodes:
        before = [*node.inputs, *([last] if node.random and last is not None else [])]
        level[node] = max(
            (level[b] + ((b.kind == "torch") != (node.kind == "torch")) for b in before), default=0
        )
        last = node if node.random else last
    return level


class _Planner:
    def __init__(self, model: nn.Module, nodes: list[Node], mask: Mask | None, batch: int) -> None:
        self.model, self.mask, self.batch, self.plan = model, mask, batch, Plan()
        self.level = levels(nodes)
        order = {node: i for i, node in enumerate(nodes)}
        self.nodes = sorted(nodes, key=lambda n: (self.level[n], n.kind == "torch", order[n]))
        self.trained = _trained(nodes)
        self.maps = _maps(nodes)
        self.loose = Loose()
        self.done: set[Node] = set()
        for node in self.nodes:
            if node not in self.done:
                getattr(self, f"_{node.kind}")(node)

    # ---- values

    def _value(self, node: Node) -> Value:
        """A new value for what a node gives."""
        value = Value(self.maps[node], self.trained[node])
        self.plan.values[node] = value
        return value

    def _use(self, node: Node) -> Value:
        value = self.plan.values[node]
        value.left += 1
        return value

    def _only_user(self, node: Node, kind: str) -> Node | None:
        """The one user of a node, if it is of this kind."""
        user = node.users[0] if len(node.users) == 1 else None
        return user if user is not None and user.kind == kind else None

    # ---- kinds

    def _input(self, node: Node) -> None:
        self._value(node)

    def _view(self, node: Node) -> None:
        self.plan.values[node] = self.plan.values[node.inputs[0]]

    def _conv(self, node: Node) -> None:
        self._product(node)

    def _linear(self, node: Node) -> None:
        self._product(node)

    def _product(self, node: Node) -> None:
        module: Any = node.module
        x = self._use(node.inputs[0])
        last = self._only_user(node, "relu") or node
        self.done.add(last)
        out = self._value(last)
        out.rectified = last is not node
        name = f"{node.name}.weight"
        keep = bits_of(self.mask, name, tuple(module.weight.shape))
        maps: dict[str, Any] = {"source": x.map, "target": out.map, "batch": self.batch}
        listed: Callable[[Bits], Nonzeros] = partial(linear, **maps)
        if node.kind == "conv":
            stride, padding = node.options
            listed = partial(convolution, stride=stride, padding=padding, **maps)
        bias = None if module.bias is None else f"{node.name}.bias"
        product = Product(listed, name, bias, x, out)
        self.plan.kept[name] = product.relist(keep)
        self.plan.operations.append(product)

    def _norm(self, node: Node) -> None:
        if self._only_user(node, "add") is None:
            self._blend(node, [node])

    def _relu(self, node: Node) -> None:
        self._blend(node, [node.inputs[0]], relu=True)

    def _add(self, node: Node) -> None:
        self._blend(node, node.inputs)

    def _blend(self, node: Node, sources: list[Node], relu: bool = False) -> None:
        """The sum of sources; a batch norm among them that nothing else uses is done here."""
        branches = [self._branch(source) for source in sources]
        last = node if relu else (self._only_user(node, "relu") or node)
        self.done.add(last)
        out = self._value(last)
        out.rectified = relu or last is not node
        self.plan.operations.append(Blend(branches, out))

    def _branch(self, source: Node) -> Branch:
        if source.kind != "norm" or source in self.plan.values:
            return Branch(self._use(source), None)
        value = self._use(source.inputs[0])
        branch = Branch(value, Norm(source.name, source.module, value.map.channels))
        for operation in self.plan.operations:
            if isinstance(operation, Product) and operation.out is value:
                branch.summed = operation.serve(branch.norm)
        return branch

    def _max(self, node: Node) -> None:
        x = self._use(node.inputs[0])
        self.plan.operations.append(Pooling("max", node.options, x, self._value(node)))

    def _average(self, node: Node) -> None:
        x = self._use(node.inputs[0])
        self.plan.operations.append(Pooling("average", node.options, x, self._value(node)))

    def _dropout(self, node: Node) -> None:
        assert node.shape is not None
        x = self._use(node.inputs[0])
        self.plan.operations.append(Dropout(node.options[0], node.shape, x, self._value(node)))

    def _torch(self, node: Node) -> None:
        """All nodes of this level that torch runs."""
        inside = [n for n in self.nodes if n.kind == "torch" and self.level[n] == self.level[node]]
        self.done.update(inside)
        used = {s: None for n in inside for s in n.inputs}
        inputs = {s: self._use(s) for s in used if s.kind != "torch"}
        outputs, lent = {}, []
        for n in inside:
            others = [u for u in n.users if u not in inside]
            if any(u.kind != "torch" for u in others) or not n.users:
                outputs[n] = self._value(n)
            if any(u.kind == "torch" for u in others):
                lent.append(n)
        part = TorchPart(self.model, inside, inputs, outputs, lent, self.loose)
        self.plan.operations.append(part)
        self.plan.parts.append(part)


def _trained(nodes: list[Node]) -> dict[Node, bool]:
    """Whether a node's value depends on anything that is trained."""
    found: dict[Node, bool] = {}
    for node in nodes:
        own = node.module is not None and any(True for _ in node.module.parameters())
        own = own or node.fx.op == "get_attr"
        found[node] = own or any(found[source] for source in node.inputs)
    return found


def _maps(nodes: list[Node]) -> dict[Node, Map]:
    """The map of every value: what is blended together has one border, the widest needed."""
    leader = {node: node for node in nodes}

    def find(node: Node) -> Node:
        while leader[node] is not node:
            node = leader[node]
        return node

    border = dict.fromkeys(nodes, 0)
    for node in nodes:
        if node.kind in ("relu", "add", "norm", "dropout", "view"):
            for source in node.inputs:
                leader[find(source)] = find(node)
    for node in nodes:
        if node.kind == "conv":
            module: Any = node.module
            assert node.inputs[0].shape is not None
            window = Window(module.kernel_size, *node.options)
            inside, outside = window.borders(*node.inputs[0].shape[1:])
            for n, needed in ((node.inputs[0], inside), (node, outside)):
                border[find(n)] = max(border[find(n)], needed)
    return {n: Map(*_sizes(n.map_shape), border[find(n)]) for n in nodes if n.map_shape}


def _sizes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def notes(nodes: list[Node], in_torch: Collection[str]) -> list[str]:
    """What torch runs for want of a kernel, in words."""
    return [
        f"run in torch: {_said(node)}"
        for node in nodes
        if node.kind == "torch"
        and f"{node.name}.weight" not in in_torch
        and node.fx.op != "get_attr"
    ]


def _said(node: Node) -> str:
    if node.module is not None:
        return f"{node.name} ({type(node.module).__name__})"
    target = node.fx.target
    return f"{node.name} ({target if isinstance(target, str) else _path(target)})"


def _path(function: Any) -> str:
    name = getattr(function, "__name__", str(function))
    module = getattr(function, "__module__", None) or "torch"
    return f"{module}.{name}"
