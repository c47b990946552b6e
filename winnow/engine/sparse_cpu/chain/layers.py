"""Find out, by tracing, whether a network is a chain of linear layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from winnow.engine.base import Job
from winnow.engine.once import once
from winnow.engine.sparse_cpu.unsupported import (
    UnsupportedError,
    check_parameters,
    has_hooks,
)


@dataclass(frozen=True)
class ChainLayer:
    """A linear layer of the chain: the names of its parameters, whether a ReLU follows."""

    weight: str
    bias: str | None
    outputs: int
    inputs: int
    relu: bool


Chain = tuple[Sequence[str], Sequence[ChainLayer]]
"""The names of a network's parameters in their order, and its layers."""


def chain_of_job(job: Job) -> Chain:
    """The chain of a job's network. Raises UnsupportedError as `chain_of`."""
    found = _chain_or_why(job.build)
    if isinstance(found, UnsupportedError):
        raise found.with_traceback(None)
    return found


@once
def _chain_or_why(build: Callable[[], nn.Module]) -> Chain | UnsupportedError:
    model = build()
    try:
        layers = chain_of(model)
    except UnsupportedError as error:
        return error
    return tuple(name for name, _ in model.named_parameters()), tuple(layers)


def chain_of(model: nn.Module) -> list[ChainLayer]:
    """The layers of flatten → linear → ReLU → … → linear.

    Raises UnsupportedError with the reason when the network is anything else.
    """
    steps = list(_steps(model))
    if not steps or steps[0] != "flatten":
        raise UnsupportedError("it does not begin by flattening the images")
    layers: list[ChainLayer] = []
    for before, step in itertools.pairwise(steps):
        if isinstance(step, nn.Linear):
            layers.append(_layer(model, step))
        elif step == "relu":
            if not isinstance(before, nn.Linear):
                raise UnsupportedError("a ReLU does not follow a linear layer")
            layers[-1] = _with_relu(layers[-1])
        else:
            raise UnsupportedError("it flattens more than once")
    if not layers or layers[-1].relu:
        raise UnsupportedError("it does not end with a linear layer")
    _check_parameters(model, layers)
    for name, module in model.named_modules():
        if has_hooks(module):
            raise UnsupportedError(f"{name or 'the network'} has hooks")
    return layers


def is_chain(model: nn.Module, features: int) -> bool:
    """Whether a network is a chain of linear layers, for images of so many features."""
    try:
        layers = chain_of(model)
    except UnsupportedError:
        return False
    return layers_fit(layers, features)


def layers_fit(layers: Sequence[ChainLayer], features: int) -> bool:
    """Whether the first layer takes so many features, and each other what comes before it."""
    sizes = [features, *(layer.outputs for layer in layers)]
    return all(size == layer.inputs for size, layer in zip(sizes, layers, strict=False))


def _with_relu(layer: ChainLayer) -> ChainLayer:
    return ChainLayer(layer.weight, layer.bias, layer.outputs, layer.inputs, relu=True)


def _steps(model: nn.Module) -> Iterator[Any]:
    """The operations in order: "flatten", "relu" or a Linear module."""
    try:
        graph = fx.symbolic_trace(model).graph
    except Exception as error:  # whatever a user's forward raises on symbols
        raise UnsupportedError(f"its forward cannot be traced ({error})") from error
    previous: fx.Node | None = None
    modules = dict(model.named_modules())
    for node in graph.nodes:
        if node.op == "placeholder" and previous is None:
            previous = node
            continue
        if not node.args or node.args[0] is not previous or len(node.all_input_nodes) != 1:
            raise UnsupportedError(f"{_said(node)} is not one operation after the other")
        if node.op == "output":
            return
        previous = node
        step = _operation(node, modules)
        if step is not None:
            yield step


def _operation(node: fx.Node, modules: dict[str, nn.Module]) -> Any:
    """What a node does; None for nothing."""
    if node.op == "call_module":
        return _module(modules[str(node.target)], node)
    if node.target in _RELU:
        return "relu"
    if node.target in _FLATTEN and _flattens_images(node):
        return "flatten"
    raise UnsupportedError(f"{_said(node)} has no kernel here")


_RELU: set[Any] = {F.relu, torch.relu, torch.relu_, "relu", "relu_"}
_FLATTEN: set[Any] = {torch.flatten, "flatten"}


def _module(module: nn.Module, node: fx.Node) -> Any:
    match module:
        case nn.Linear() if type(module) is nn.Linear:
            return module
        case nn.ReLU():
            return "relu"
        case nn.Flatten(start_dim=1, end_dim=-1):
            return "flatten"
        case nn.Identity():
            return None
        case nn.Dropout(p=0.0):
            return None
    raise UnsupportedError(f"{_said(node)} ({module}) has no kernel here")


def _flattens_images(node: fx.Node) -> bool:
    given = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | node.kwargs
    return (given.get("start_dim", 0), given.get("end_dim", -1)) == (1, -1)


def _said(node: fx.Node) -> str:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return f"{node.op.replace('_', ' ')} {name}"


def _layer(model: nn.Module, linear: nn.Linear) -> ChainLayer:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    if id(linear.weight) not in names:
        raise UnsupportedError(f"the weight of {linear} is no parameter")
    bias = None if linear.bias is None else names[id(linear.bias)]
    return ChainLayer(
        names[id(linear.weight)], bias, linear.out_features, linear.in_features, relu=False
    )


def _check_parameters(model: nn.Module, layers: list[ChainLayer]) -> None:
    used = [n for layer in layers for n in (layer.weight, layer.bias) if n is not None]
    if len(set(used)) < len(used):
        raise UnsupportedError("a linear layer is used twice")
    if more := sorted(dict(model.named_parameters()).keys() - set(used)):
        raise UnsupportedError(f"{more[0]} belongs to no linear layer")
    if more := sorted(name for name, _ in model.named_buffers()):
        raise UnsupportedError(f"it has a buffer, {more[0]}")
    check_parameters(model)
