"""Convolutions as matrices: what each unit of a layer multiplies at each position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.layers import CONVOLUTIONS

AnyConvolution = (
    nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
AT_A_TIME = 1 << 24  # numbers in the patches that are held at a time

assert all(kind in CONVOLUTIONS for kind in _TRANSPOSED)


def unfolded(x: Tensor, layer: AnyConvolution) -> Iterator[Tensor]:
    """(groups, inputs of a unit, positions of some examples), until all have come.

    ``x``: what the layer is called with, with or without an axis of examples. The order of a
    unit's inputs is that of ``patterns.axes``: channels × taps. The layer's output without its bias
    is (groups, units of a group, inputs) @ that; what padding adds are zeros, or copies as the
    layer's ``padding_mode`` says; what a transposed one puts between its inputs are zeros.
    """
    kernel = tuple(layer.kernel_size)
    if x.dim() == len(kernel) + 1:
        x = x[None]
    taps = math.prod(kernel)
    outputs = max(1, x[0].numel() * (math.prod(layer.stride) if _turned(layer) else 1))
    for part in torch.split(x, max(1, AT_A_TIME // (outputs * taps))):
        windows = _windows(_padded(part, layer), layer)
        yield _by_group(windows.flatten(2 + len(kernel)).flatten(1, 1 + len(kernel)), layer.groups)


def _turned(layer: AnyConvolution) -> bool:
    return isinstance(layer, _TRANSPOSED)


def _padded(x: Tensor, layer: Any) -> Tensor:
    if not _turned(layer):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        return F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], layer.stride, strict=True)]
    spaced = x.new_zeros(*x.shape[:2], *sizes)
    places: Any = (..., *(slice(None, None, stride) for stride in layer.stride))
    spaced[places] = x
    pads: list[int] = []
    for axis in reversed(range(len(sizes))):
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) - layer.padding[axis]
        pads += [reach, reach + layer.output_padding[axis]]
    return F.pad(spaced, pads)


def _windows(x: Tensor, layer: Any) -> Tensor:
    """(examples, channels, taps …, positions …), a view."""
    axes = len(layer.kernel_size)
    for axis in range(axes):
        dilation, kernel = layer.dilation[axis], layer.kernel_size[axis]
        stride = 1 if _turned(layer) else layer.stride[axis]
        x = x.unfold(2 + axis, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    taps, positions = [*range(2 + axes, 2 + 2 * axes)], [*range(2, 2 + axes)]
    found: Tensor = x.permute(0, 1, *taps, *positions)
    return found.flip(*range(2, 2 + axes)) if _turned(layer) else found


def _by_group(rows: Tensor, groups: int) -> Tensor:
    """(examples, groups · n, positions) as (groups, n, examples · positions)."""
    split = rows.reshape(len(rows), groups, -1, rows.shape[2])
    return split.permute(1, 2, 0, 3).flatten(2)
