"""Sums over examples of |g| or g², g the gradient of one layer's parameter by one example.

From the layer's input and the gradient by its output, all examples of a batch at once. The
gradient of a weight by one example is a product over positions (tokens, pixels): delta (O, P) times
the transpose of what each position sees, (I, P). Only a few examples' products lie in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.moments.kinds import MomentKind, summed

_BYTES = {"cpu": 2**21, "cuda": 2**28}  # of unfolded inputs and products at a time
_WORTH = 10**7  # products of a convolution and a batch from which compiled kernels pay

_DIMENSIONS: dict[type[nn.Module], int] = {nn.Conv1d: 3, nn.Conv2d: 4}  # of a batch

Convolution = Callable[[Tensor, Tensor, tuple[int, int], tuple[int, int], bool], Tensor]


def has_formula(module: nn.Module) -> bool:
    """Whether this is a layer with a formula whose forward is torch's own."""
    return (
        type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d)
        and "forward" not in vars(module)
        and module._compiled_call_impl is None
    )


def has_weight_formula(layer: nn.Module) -> bool:
    """Whether the weight has one, not only the bias: convolutions in groups do not."""
    return isinstance(layer, nn.Linear) or getattr(layer, "groups", None) == 1


def fits(layer: nn.Module, x: Tensor, delta: Tensor, count: int) -> bool:
    """Whether the tensors have a row for each of ``count`` examples."""
    dimensions = _DIMENSIONS.get(type(layer), max(2, x.ndim))
    return x.ndim == delta.ndim == dimensions and len(x) == len(delta) == count


def linear_moment(x: Tensor, delta: Tensor, kind: MomentKind) -> Tensor:
    """For the weight (O, I) of a linear layer. x (N, …, I), delta (N, …, O)."""
    x, delta = (t.flatten(1, -2) if t.ndim > 2 else t.unsqueeze(1) for t in (x, delta))
    seen = x.transpose(1, 2)
    return _products(delta.transpose(1, 2), lambda part: seen[part], x.shape[2], kind)


def bias_moment(delta: Tensor, kind: MomentKind, channel: int) -> Tensor:
    """For a bias (O,), which every position shares. ``channel``: the dimension of O in delta."""
    positions = [d for d in range(1, delta.ndim) if d != channel % delta.ndim]
    return summed(delta.sum(positions) if positions else delta.clone(), kind)


def convolution_moment(
    layer: nn.Conv1d | nn.Conv2d,
    x: Tensor,
    delta: Tensor,
    kind: MomentKind,
    kernel: Convolution | None,
) -> Tensor:
    """For the weight of a convolution without groups. x (N, C, …), delta (N, O, …).

    ``kernel`` computes it for 3x3 taps in float32 on the CPU.
    """
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        x, padding = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode), (0, 0)
    else:
        padding = _pair(layer.padding, 0)
    if x.ndim == 3:
        x, delta = x.unsqueeze(2), delta.unsqueeze(2)
    size, stride = _pair(layer.kernel_size, 1), _pair(layer.stride, 1)
    dilation = _pair(layer.dilation, 1)
    if kernel is not None and size == (3, 3) and dilation == (1, 1) and _is_worth(x, delta):
        return kernel(x, delta, stride, padding, kind == "square")

    def seen(part: slice) -> Tensor:
        return F.unfold(x[part], size, dilation, padding, stride)

    total = _products(delta.flatten(2), seen, x.shape[1] * size[0] * size[1], kind)
    return total.view(layer.weight.shape)


def _pair(values: tuple[int, ...], flat: int) -> tuple[int, int]:
    """The values of both dimensions; ``flat`` is that of the height which a Conv1d lacks."""
    return (flat, values[0]) if len(values) == 1 else (values[0], values[1])


def _is_worth(x: Tensor, delta: Tensor) -> bool:
    small = x.device.type == "cpu" and x.dtype == delta.dtype == torch.float32
    return small and delta.numel() * x.shape[1] * 9 >= _WORTH


def _products(
    delta: Tensor, seen: Callable[[slice], Tensor], inputs: int, kind: MomentKind
) -> Tensor:
    """Sums over examples for g = delta (O, P) · seen (I, P)ᵀ. delta (N, O, P); (O, I)."""
    count, outputs, positions = delta.shape
    if positions == 1:  # |d aᵀ| = |d| |a|ᵀ, and the same for squares: one product for all examples
        factors = (delta.flatten(1), seen(slice(None)).flatten(1))
        d, a = (f.square() if kind == "square" else f.abs() for f in factors)
        return d.t() @ a
    example = delta.element_size() * inputs * (positions + outputs)
    chunk = max(1, _BYTES.get(delta.device.type, 2**21) // example)
    total = delta.new_zeros(outputs, inputs)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        total += summed(torch.bmm(delta[part], seen(part).transpose(1, 2)), kind)
    return total
