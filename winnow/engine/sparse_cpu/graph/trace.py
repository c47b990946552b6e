"""A network as a list of operations with shapes, found by tracing it with torch.fx.

Each `TracedNode` is an operation that has kernels here, or one that torch runs. Only what the
output needs is listed. Shapes come from running two small batches, so that whatever does not treat
the first dimension as the batch is seen.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.sparse_cpu.graph.kinds import (
    IN_TORCH,
    ExampleShape,
    OperationKind,
    Recognised,
)
from winnow.engine.sparse_cpu.graph.recognise import recognise
from winnow.engine.sparse_cpu.unsupported import (
    UnsupportedError,
    check_parameters,
    has_hooks,
)

_BATCHES = (2, 3)


@dataclass(eq=False)
class TracedNode:
    """An operation, its inputs, and the shape (without batch) of its value.

    ``traced``: the node of the trace of training, ``traced_eval`` of evaluation. ``shape`` is None
    where the value is not a float32 tensor (B, F) or (B, C, H, W): such values stay inside torch.
    ``map_shape``: the shape of the map that holds the value, another one where the value is a view
    of features.
    """

    kind: OperationKind
    name: str
    inputs: list[TracedNode]
    shape: ExampleShape
    traced: fx.Node
    traced_eval: fx.Node
    module: nn.Module | None = None
    options: tuple[Any, ...] = ()
    random: bool = False
    in_place: bool = False
    map_shape: ExampleShape = None
    users: list[TracedNode] = field(default_factory=list)

    @property
    def in_torch(self) -> bool:
        """Whether torch runs it."""
        return self.kind is OperationKind.TORCH


def trace(
    model: nn.Module, image: tuple[int, ...], in_torch: Iterable[str] = ()
) -> tuple[list[TracedNode], TracedNode]:
    """The operations of a network for images of shape (C, H, W) in order, and the last of them.

    ``in_torch``: names of weights whose layers torch shall run. Raises UnsupportedError with the
    reason where the network cannot be traced or trained.
    """
    _check(model)
    training, evaluation = _graphs(model)
    shapes = _shapes(model, evaluation, image)
    modules = dict(model.named_modules())
    asked = {name.rpartition(".")[0] for name in in_torch}
    shared = _shared(model, training)
    nodes: dict[str, TracedNode] = {}
    for train, test in zip(training.nodes, evaluation.nodes, strict=True):
        if train.op == "output":
            return _finished(nodes, train)
        module = modules[str(train.target)] if train.op == "call_module" else None
        sources = [nodes[n.name] for n in train.all_input_nodes]
        shape = shapes[train.name]
        operation = recognise(train, test, module, [n.shape for n in sources], shape)
        dense = module is not None and (train.target in shared or train.target in asked)
        if dense or not _fits(operation, sources[: operation.inputs], shape):
            operation = replace(IN_TORCH, random=operation.random)
        whole = operation.kind is OperationKind.TORCH
        inputs = sources if whole else sources[: operation.inputs]
        nodes[train.name] = TracedNode(
            *(operation.kind, str(train.target) if module is not None else train.name),
            inputs,
            shape,
            train,
            test,
            module,
            operation.options,
            operation.random,
            in_place(train, module),
            inputs[0].map_shape if operation.kind.keeps_map else shape,
        )
    raise UnsupportedError("its forward returns nothing")


def _fits(operation: Recognised, inputs: list[TracedNode], shape: ExampleShape) -> bool:
    """Whether the maps of the inputs suit: features may be a view of a map with more channels."""
    if operation.kind is OperationKind.NORM:
        return inputs[0].map_shape == shape
    if operation.kind is OperationKind.ADD:
        return inputs[0].map_shape == inputs[1].map_shape
    return True


def _check(model: nn.Module) -> None:
    if has_hooks(model):
        raise UnsupportedError("the network has hooks")
    check_parameters(model)


def _graphs(model: nn.Module) -> tuple[fx.Graph, fx.Graph]:
    """The trace of training and that of evaluation: the same nodes, maybe other constants."""
    was = model.training
    try:
        graphs = [fx.symbolic_trace(model.train(mode)).graph for mode in (True, False)]
    except Exception as error:  # whatever a user's forward raises on symbols
        raise UnsupportedError(f"its forward cannot be traced ({_first_line(error)})") from error
    finally:
        model.train(was)
    about = [[(n.op, n.name, n.target, n.all_input_nodes) for n in g.nodes] for g in graphs]
    if [str(a) for a in about[0]] != [str(a) for a in about[1]]:
        raise UnsupportedError("its forward does other things in training than in evaluation")
    for graph in graphs:
        _in_place_last(graph, dict(model.named_modules()))
    return graphs[0], graphs[1]


def _in_place_last(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    """After an operation in place, whoever uses its operand sees what it made of it."""
    order = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        module = modules[str(node.target)] if node.op == "call_module" else None
        if node.all_input_nodes and in_place(node, module):
            operand = node.all_input_nodes[0]
            for user in [u for u in operand.users if order[u] > order[node]]:
                user.replace_input_with(operand, node)


def in_place(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node overwrites its first operand."""
    if module is not None:
        return bool(getattr(module, "inplace", False))
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    trailing = name.endswith("_") and not name.endswith("__")
    return trailing or name in ("iadd", "imul", "isub") or node.kwargs.get("inplace") is True


class _Recorder(fx.Interpreter):
    """Runs a trace and keeps the shape of every value."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, ExampleShape] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        known = isinstance(value, Tensor) and value.dtype == torch.float32
        self.shapes[n.name] = tuple(value.shape) if known else None
        return value


def _shapes(model: nn.Module, graph: fx.Graph, image: tuple[int, ...]) -> dict[str, ExampleShape]:
    """Every value's shape without the batch; None for what is not (B, F) or (B, C, H, W)."""
    recorders = []
    for batch in _BATCHES:
        own = fx.GraphModule(copy.deepcopy(model).eval(), graph)
        recorder = _Recorder(own)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                recorder.run(torch.zeros(batch, *image))
        except Exception as error:  # whatever a user's forward raises
            about = f"it does not take images of {image} ({_first_line(error)})"
            raise UnsupportedError(about) from error
        recorders.append(recorder.shapes)
    few, more = recorders
    return {
        name: a[1:] if a is not None and _is_batch(a, b) else None
        for (name, a), b in zip(few.items(), more.values(), strict=True)
    }


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _is_batch(a: tuple[int, ...], b: tuple[int, ...] | None) -> bool:
    return (
        b is not None
        and len(a) in (2, 4)
        and (a[0], b[0]) == _BATCHES
        and a[1:] == b[1:]
        and min(a) > 0
    )


def _shared(model: nn.Module, graph: fx.Graph) -> set[Any]:
    """Modules with parameters that another node uses too: torch adds up their gradients."""
    users: dict[int, list[Any]] = {}
    for node in graph.nodes:
        for parameter in parameters_of(model, node):
            users.setdefault(id(parameter), []).append(node.target)
    return {target for targets in users.values() if len(targets) > 1 for target in targets}


def parameters_of(model: nn.Module, node: fx.Node) -> list[nn.Parameter]:
    """The parameters that a node of a trace uses itself."""
    if node.op == "call_module":
        return list(model.get_submodule(str(node.target)).parameters())
    if node.op == "get_attr":
        value = attribute(model, str(node.target))
        return [value] if isinstance(value, nn.Parameter) else []
    return []


def attribute(model: nn.Module, path: str) -> Any:
    """What a dotted path names in a network."""
    value: Any = model
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _finished(nodes: dict[str, TracedNode], output: fx.Node) -> tuple[list[TracedNode], TracedNode]:
    """The nodes that the output needs, each knowing its users."""
    result = output.args[0]
    last = nodes[result.name] if isinstance(result, fx.Node) else None
    if last is None or last.shape is None or len(last.shape) != 1:
        raise UnsupportedError("its forward does not return logits (B, classes)")
    if sum(n.kind is OperationKind.INPUT for n in nodes.values()) != 1:
        raise UnsupportedError("its forward takes more than the images")
    needed, waiting = {last}, [last]
    while waiting:
        for source in waiting.pop().inputs:
            if source not in needed:
                needed.add(source)
                waiting.append(source)
    listed = [node for node in nodes.values() if node in needed]
    for node in listed:
        for source in node.inputs:
            source.users.append(node)
    return listed, last
