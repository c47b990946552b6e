"""Which operations of a trace have kernels here, with their options."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

Shape = tuple[int, ...] | None  # of one example; None for what is not a map or features


@dataclass(frozen=True)
class Found:
    """The kind of an operation, its options; how many inputs are operands, not numbers.

    ``random``: it draws from torch's generator.
    """

    kind: str
    options: tuple[Any, ...] = ()
    inputs: int = 1
    random: bool = False


TORCH = Found("torch")


def recognise(
    train: fx.Node, test: fx.Node, module: nn.Module | None, given: list[Shape], shape: Shape
) -> Found:
    """What a node of the trace does; `TORCH` where only torch knows.

    ``given``: shapes of its inputs, ``shape``: that of its value.
    """
    if train.op == "placeholder":
        return Found("input")
    if shape is None or not given or given[0] is None:
        return Found("torch", random=_draws(train, module))
    found = TORCH
    if module is not None:
        hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
        if not hooked:
            found = _module(module, given[0], shape)
    elif train.op in ("call_function", "call_method"):
        found = _function(train, test, given, shape)
    if found.kind == "torch":
        return Found("torch", random=_draws(train, module))
    return found


def _draws(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        kinds = [type(m).__name__ for m in module.modules()]
        return any("Dropout" in kind or "RReLU" in kind for kind in kinds)
    name = getattr(node.target, "__name__", str(node.target))
    return any(part in name for part in ("dropout", "rand", "bernoulli", "normal", "rrelu"))


# ---- modules


def _module(module: nn.Module, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    about = _MODULES.get(type(module))
    return TORCH if about is None else about(module, given, shape)


def _conv(conv: nn.Conv2d, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    padding: Any = conv.padding
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        padding = tuple(k // 2 if k % 2 else -1 for k in conv.kernel_size)
    if not plain or min(padding) < 0:
        return TORCH
    return Found("conv", (conv.stride, padding))


def _norm(norm: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    return Found("norm") if given == shape else TORCH


_POOL_OPTIONS = (
    *("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    *("count_include_pad", "divisor_override"),
)


def _pool(pool: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    asked = {name: getattr(pool, name) for name in _POOL_OPTIONS if hasattr(pool, name)}
    kind = "max" if isinstance(pool, nn.MaxPool2d) else "average"
    return _window(kind, asked, given, shape)


def _adaptive(pool: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    kind = "max" if isinstance(pool, nn.AdaptiveMaxPool2d) else "average"
    if getattr(pool, "return_indices", False):
        return TORCH
    return _even_window(kind, given, shape)


def _dropout(rate: float, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    return Found("dropout", (rate,), random=True) if rate > 0 else Found("view")


def _always(kind: str) -> Callable[..., Found]:
    return lambda *_: Found(kind)


def _view(module: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    """A view is free where it keeps the shape, or makes features of a map."""
    flattens = len(shape) == 1 and math.prod(given) == shape[0]
    return Found("view") if flattens or given == shape else TORCH


_MODULES: dict[type, Callable[..., Found]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda _, given, __: Found("linear") if len(given) == 1 else TORCH,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.ReLU: _always("relu"),
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.AdaptiveMaxPool2d: _adaptive,
    nn.Dropout: lambda dropout, *shapes: _dropout(dropout.p, *shapes),
    nn.Identity: _always("view"),
    nn.Flatten: _view,
}


# ---- functions and methods


def _function(train: fx.Node, test: fx.Node, given: list[Shape], shape: tuple[int, ...]) -> Found:
    first = given[0]
    assert first is not None
    alike = str((test.args, test.kwargs)) == str((train.args, train.kwargs))
    if not alike and train.target is not F.dropout:
        return TORCH
    target = train.target
    if target in _RELU:
        return Found("relu")
    if target in _ADD:
        same = len(train.args) == 2 and not train.kwargs and given == [shape] * len(given)
        tensors = all(isinstance(a, fx.Node) for a in train.args)
        return Found("add", inputs=2) if same and tensors else TORCH
    if target in _VIEWS:
        return _view(None, first, shape)
    if target in _MEANS:
        return _mean(train, first, shape)
    if target is F.dropout:
        return _dropped(train, test, first, shape)
    if target in _POOLS:
        asked = _bound(_POOLS[target], train)
        return _window("max" if target in _MAX else "average", asked, first, shape)
    if target is F.adaptive_avg_pool2d:
        return _even_window("average", first, shape)
    return TORCH


_RELU: set[Any] = {F.relu, torch.relu, torch.relu_, "relu", "relu_", F.relu_}
_ADD: set[Any] = {operator.add, operator.iadd, torch.add, "add", "add_"}
_VIEWS: set[Any] = {torch.flatten, "flatten", "view", "reshape", torch.reshape, "contiguous"}
_MEANS: set[Any] = {torch.mean, "mean"}
_MAX: set[Any] = {F.max_pool2d, torch.max_pool2d}


def _max_options(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: Any = False,
    return_indices: Any = False,
) -> None:
    """The arguments of F.max_pool2d."""


def _average_options(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
    divisor_override: Any = None,
) -> None:
    """The arguments of F.avg_pool2d."""


def _dropout_options(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
) -> None:
    """The arguments of F.dropout."""


_POOLS: dict[Any, Callable[..., None]] = {
    F.max_pool2d: _max_options,
    torch.max_pool2d: _max_options,
    F.avg_pool2d: _average_options,
}


def _bound(signature: Callable[..., None], node: fx.Node) -> Mapping[str, Any]:
    bound = inspect.signature(signature).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bound.arguments


def _dropped(
    train: fx.Node, test: fx.Node, given: tuple[int, ...], shape: tuple[int, ...]
) -> Found:
    """F.dropout(x, p, training=self.training): what it does depends on the mode."""

    about = [_bound(_dropout_options, node) for node in (train, test)]
    rates = [(options["p"], options["training"]) for options in about]
    (rate, on), (rate_eval, on_eval) = rates
    if rate != rate_eval or on_eval:
        return TORCH
    return _dropout(rate, given, shape) if on else Found("view")


def _mean(node: fx.Node, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    asked = dict(zip(("input", "dim", "keepdim"), node.args, strict=False)) | node.kwargs
    dims = asked.get("dim")
    if len(given) != 3 or not isinstance(dims, (tuple, list)) or "dtype" in asked:
        return TORCH
    if sorted(d % 4 for d in dims) != [2, 3]:
        return TORCH
    return Found("average", (*given[1:], *given[1:], 0, 0))


# ---- windows


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _window(
    kind: str, asked: Mapping[str, Any], given: tuple[int, ...], shape: tuple[int, ...]
) -> Found:
    """A pool with geometry (window, stride, padding; rows and columns each)."""
    window, padding = _pair(asked["kernel_size"]), _pair(asked["padding"])
    stride = window if asked["stride"] is None or asked["stride"] == [] else _pair(asked["stride"])
    odd = asked["ceil_mode"] or asked.get("return_indices") or asked.get("divisor_override")
    dilated = _pair(asked.get("dilation", 1)) != (1, 1)
    uncounted = not asked.get("count_include_pad", True) and padding != (0, 0)
    if len(given) != 3 or odd or dilated or uncounted:
        return TORCH
    return Found(kind, (*window, *stride, *padding))


def _even_window(kind: str, given: tuple[int, ...], shape: tuple[int, ...]) -> Found:
    """An adaptive pool whose windows are all of one size and do not overlap."""
    if len(given) != 3 or given[1] % shape[1] or given[2] % shape[2]:
        return TORCH
    window = (given[1] // shape[1], given[2] // shape[2])
    return Found(kind, (*window, *window, 0, 0))
