"""Pools as torch writes them: which have kernels here, and their geometry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from winnow.engine.sparse_cpu.graph.kinds import IN_TORCH, OperationKind, Recognised

_POOL_OPTIONS = (
    *("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    *("count_include_pad", "divisor_override"),
)


def pool_module(pool: Any, given: tuple[int, ...], _shape: tuple[int, ...]) -> Recognised:
    """A pool of `nn`, on an input of a shape."""
    asked = {name: getattr(pool, name) for name in _POOL_OPTIONS if hasattr(pool, name)}
    kind = OperationKind.MAXIMUM if isinstance(pool, nn.MaxPool2d) else OperationKind.AVERAGE
    return _window(kind, asked, given)


def adaptive_pool_module(pool: Any, given: tuple[int, ...], shape: tuple[int, ...]) -> Recognised:
    """An adaptive pool of `nn`, from an input's shape to a shape."""
    maximum = isinstance(pool, nn.AdaptiveMaxPool2d)
    kind = OperationKind.MAXIMUM if maximum else OperationKind.AVERAGE
    if getattr(pool, "return_indices", False):
        return IN_TORCH
    return even_windows(kind, given, shape)


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


POOL_FUNCTIONS: dict[Any, Callable[..., None]] = {
    F.max_pool2d: _max_options,
    torch.max_pool2d: _max_options,
    F.avg_pool2d: _average_options,
}


def pool_function(node: fx.Node, given: tuple[int, ...]) -> Recognised:
    """A call of one of `POOL_FUNCTIONS` on an input of this shape."""
    signature = POOL_FUNCTIONS[node.target]
    maximum = signature is _max_options
    kind = OperationKind.MAXIMUM if maximum else OperationKind.AVERAGE
    return _window(kind, bound_arguments(signature, node), given)


def bound_arguments(signature: Callable[..., None], node: fx.Node) -> Mapping[str, Any]:
    """The arguments of a call, by name, with the defaults of a signature."""
    bound = inspect.signature(signature).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bound.arguments


def mean_function(node: fx.Node, given: tuple[int, ...]) -> Recognised:
    """``mean`` over the rows and columns of a map."""
    asked = dict(zip(("input", "dim", "keepdim"), node.args, strict=False)) | node.kwargs
    dims = asked.get("dim")
    if len(given) != 3 or not isinstance(dims, (tuple, list)) or "dtype" in asked:
        return IN_TORCH
    if sorted(d % 4 for d in dims) != [2, 3]:
        return IN_TORCH
    return Recognised(OperationKind.AVERAGE, (*given[1:], *given[1:], 0, 0))


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _window(kind: OperationKind, asked: Mapping[str, Any], given: tuple[int, ...]) -> Recognised:
    """A pool with geometry (window, stride, padding; rows and columns each)."""
    window, padding = _pair(asked["kernel_size"]), _pair(asked["padding"])
    stride = window if asked["stride"] is None or asked["stride"] == [] else _pair(asked["stride"])
    odd = asked["ceil_mode"] or asked.get("return_indices") or asked.get("divisor_override")
    dilated = _pair(asked.get("dilation", 1)) != (1, 1)
    uncounted = not asked.get("count_include_pad", True) and padding != (0, 0)
    if len(given) != 3 or odd or dilated or uncounted:
        return IN_TORCH
    return Recognised(kind, (*window, *stride, *padding))


def even_windows(kind: OperationKind, given: tuple[int, ...], shape: tuple[int, ...]) -> Recognised:
    """An adaptive pool whose windows are all of one size and do not overlap."""
    if len(given) != 3 or given[1] % shape[1] or given[2] % shape[2]:
        return IN_TORCH
    window = (given[1] // shape[1], given[2] // shape[2])
    return Recognised(kind, (*window, *window, 0, 0))
