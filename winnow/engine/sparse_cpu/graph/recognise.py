"""Which operations of a trace have kernels here, with their options."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from winnow.engine.sparse_cpu.graph.kinds import (
    IN_TORCH,
    ExampleShape,
    OperationKind,
    Recognised,
)
from winnow.engine.sparse_cpu.graph.pools import (
    POOL_FUNCTIONS,
    adaptive_pool_module,
    bound_arguments,
    even_windows,
    mean_function,
    pool_function,
    pool_module,
)
from winnow.engine.sparse_cpu.unsupported import has_hooks


def recognise(
    train: fx.Node,
    test: fx.Node,
    module: nn.Module | None,
    given: list[ExampleShape],
    shape: ExampleShape,
) -> Recognised:
    """What a node of the trace does; `IN_TORCH` where only torch knows.

    ``given``: shapes of its inputs, ``shape``: that of its value.
    """
    if train.op == "placeholder":
        return Recognised(OperationKind.INPUT)
    if shape is None or not given or given[0] is None:
        return Recognised(OperationKind.TORCH, random=_draws(train, module))
    recognised = IN_TORCH
    if module is not None:
        if not has_hooks(module):
            recognised = _module(module, given[0], shape)
    elif train.op in ("call_function", "call_method"):
        recognised = _function(train, test, given, shape)
    if recognised is IN_TORCH:
        return Recognised(OperationKind.TORCH, random=_draws(train, module))
    return recognised


def _draws(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        kinds = [type(m).__name__ for m in module.modules()]
        return any("Dropout" in kind or "RReLU" in kind for kind in kinds)
    name = getattr(node.target, "__name__", str(node.target))
    return any(part in name for part in ("dropout", "rand", "bernoulli", "normal", "rrelu"))


# ---- modules


def _module(module: nn.Module, given: tuple[int, ...], shape: tuple[int, ...]) -> Recognised:
    about = _MODULES.get(type(module))
    return IN_TORCH if about is None else about(module, given, shape)


def _conv(conv: nn.Conv2d, *_shapes: tuple[int, ...]) -> Recognised:
    plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    padding: Any = conv.padding
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        padding = tuple(k // 2 if k % 2 else -1 for k in conv.kernel_size)
    if not plain or min(padding) < 0:
        return IN_TORCH
    return Recognised(OperationKind.CONVOLUTION, (conv.stride, padding))


def _norm(_norm: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Recognised:
    return Recognised(OperationKind.NORM) if given == shape else IN_TORCH


def _dropout(rate: float) -> Recognised:
    if rate > 0:
        return Recognised(OperationKind.DROPOUT, (rate,), random=True)
    return Recognised(OperationKind.VIEW)


def _always(kind: OperationKind) -> Callable[..., Recognised]:
    return lambda *_: Recognised(kind)


def _view(_module: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Recognised:
    """A view is free where it keeps the shape, or makes features of a map."""
    flattens = len(shape) == 1 and math.prod(given) == shape[0]
    return Recognised(OperationKind.VIEW) if flattens or given == shape else IN_TORCH


_MODULES: dict[type, Callable[..., Recognised]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda _, given, __: (
        Recognised(OperationKind.LINEAR) if len(given) == 1 else IN_TORCH
    ),
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.ReLU: _always(OperationKind.RELU),
    nn.MaxPool2d: pool_module,
    nn.AvgPool2d: pool_module,
    nn.AdaptiveAvgPool2d: adaptive_pool_module,
    nn.AdaptiveMaxPool2d: adaptive_pool_module,
    nn.Dropout: lambda dropout, *_: _dropout(dropout.p),
    nn.Identity: _always(OperationKind.VIEW),
    nn.Flatten: _view,
}


# ---- functions and methods


def _function(
    train: fx.Node, test: fx.Node, given: list[ExampleShape], shape: tuple[int, ...]
) -> Recognised:
    first = given[0]
    assert first is not None
    alike = str((test.args, test.kwargs)) == str((train.args, train.kwargs))
    if not alike and train.target is not F.dropout:
        return IN_TORCH
    target = train.target
    if target in _RELU:
        return Recognised(OperationKind.RELU)
    if target in _ADD:
        same = len(train.args) == 2 and not train.kwargs and given == [shape] * len(given)
        tensors = all(isinstance(a, fx.Node) for a in train.args)
        return Recognised(OperationKind.ADD, inputs=2) if same and tensors else IN_TORCH
    if target in _VIEWS:
        return _view(None, first, shape)
    if target in _MEANS:
        return mean_function(train, first)
    if target is F.dropout:
        return _dropped(train, test)
    if target in POOL_FUNCTIONS:
        return pool_function(train, first)
    if target is F.adaptive_avg_pool2d:
        return even_windows(OperationKind.AVERAGE, first, shape)
    return IN_TORCH


_RELU: set[Any] = {F.relu, torch.relu, torch.relu_, "relu", "relu_", F.relu_}
_ADD: set[Any] = {operator.add, operator.iadd, torch.add, "add", "add_"}
_VIEWS: set[Any] = {torch.flatten, "flatten", "view", "reshape", torch.reshape, "contiguous"}
_MEANS: set[Any] = {torch.mean, "mean"}


def _dropout_options(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
) -> None:
    """The arguments of F.dropout."""


def _dropped(train: fx.Node, test: fx.Node) -> Recognised:
    """F.dropout(x, p, training=self.training): what it does depends on the mode."""

    about = [bound_arguments(_dropout_options, node) for node in (train, test)]
    rates = [(options["p"], options["training"]) for options in about]
    (rate, on), (rate_eval, on_eval) = rates
    if rate != rate_eval or on_eval:
        return IN_TORCH
    return _dropout(rate) if on else Recognised(OperationKind.VIEW)
