"""Weights on some path from the input to the output: what a mask leaves that can have effect."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from winnow.analysis.units import by_unit
from winnow.analysis.zero import check_zero_at_zero
from winnow.errors import UserError
from winnow.layers import CONVOLUTIONS
from winnow.mask import Mask
from winnow.selection import parameters, uncompiled

_AVERAGES = {
    "max_pool1d": F.avg_pool1d,
    "max_pool2d": F.avg_pool2d,
    "max_pool3d": F.avg_pool3d,
}
_LEVEL_OFF = ("tanh", "hardtanh", "relu6", "softsign")
_KNOWN = (nn.Linear, *CONVOLUTIONS, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class EffectiveWeights:
    """``effective``: the part of a mask on some path from the input to the output. ``mask``: it.
    ``rows``: ``effective`` with a row for each unit.
    """

    mask: Mask
    effective: Mask
    rows: Mapping[str, Tensor]

    @property
    def density(self) -> float:
        """Effective weights over all weights of the mask."""
        return self.effective.density

    @property
    def dead_units(self) -> Mapping[str, int]:
        """By layer: units (rows of a matrix, filters of a convolution) no path goes into."""
        alive = {name: bits.flatten(1).any(1) for name, bits in self.rows.items()}
        return {name: int((~units).sum()) for name, units in alive.items()}

    @property
    def units(self) -> Mapping[str, int]:
        """By layer: how many units it has."""
        return {name: len(bits) for name, bits in self.rows.items()}

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Layers that no path goes through."""
        return tuple(name for name, kept in self.effective.kept_per_layer.items() if not kept)


def effective_weights(model: nn.Module, mask: Mask, input_shape: Sequence[int]) -> EffectiveWeights:
    """Which kept weights lie on a path of kept weights from an input value to an output.

    Paths are counted by the network of Tanaka et al. 2020 (SynFlow, equation 1): linear, all
    weights positive, fed with ones (of shape ``input_shape``, without the batch). A weight is
    effective if and only if it times its gradient is positive. Deviations: kept weights are 1
    instead of |w|, so that R is the number of paths (times what averages divide by), nothing
    underflows and a kept weight that happens to be 0 counts as kept; maximum pools are averages, as
    a maximum would hide all paths but one; biases and shifts are 0, as nothing that comes from
    the input goes through them; batch norm is the identity. Float64; removed weights are 0.

    Weights outside the mask count as kept. Positions count: a tap of a kernel that only ever meets
    padding (3x3 kernels on maps of 1x1) has no effect even in the dense network. Exact for layers
    Linear, Conv, BatchNorm, ReLU and other activations that are 0 at 0 and rise from there (tanh
    and others that level off count as the identity), dropout, average and maximum pools (without
    padding), residual sums: every network of winnow.models. The model stays as it is.

    Raises ValueError for a mask of another network; UserError for a layer of another kind with
    parameters, for an activation that is not 0 at 0 (sigmoid: a unit that nothing goes into still
    feeds what follows), and when there are too many paths for float64.
    """
    model = _counting(uncompiled(model), mask, input_shape)
    weights = {name: parameters(model)[name].requires_grad_() for name in mask}
    ones = torch.ones(1, *input_shape, dtype=torch.float64)
    with _Linearly():
        paths = model(ones).sum()
    if not bool(torch.isfinite(paths)):
        raise UserError(
            "the network has more paths from the input to the output than double precision "
            "counts: take a narrower or shallower one"
        )
    if not paths.requires_grad:
        raise UserError("the outputs do not depend on any weight of the mask")
    found = torch.autograd.grad(paths, list(weights.values()), materialize_grads=True)
    slopes = zip(mask.items(), found, strict=True)
    effective = Mask({name: keep & (slope.to(keep.device) > 0) for (name, keep), slope in slopes})
    return EffectiveWeights(mask, effective, by_unit(model, effective))


def _counting(model: nn.Module, mask: Mask, input_shape: Sequence[int]) -> nn.Module:
    """A copy on the CPU in float64 whose output is the number of paths to it."""
    mask.check_fits(parameters(model))
    model = copy.deepcopy(model).to("cpu", torch.float64).requires_grad_(False).eval()
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if own and not isinstance(module, _KNOWN):
            raise UserError(
                f"paths cannot be counted through {name or 'the model'}, a "
                f"{type(module).__name__} with parameters: layers are Linear, Conv and BatchNorm"
            )
        for key, value in (
            *module.named_parameters(recurse=False),
            *module.named_buffers("", False),
        ):
            if value.is_floating_point():
                value.fill_(1.0 if key in ("weight", "running_var") else 0.0)
    check_zero_at_zero(model, input_shape)
    for name, keep in mask.items():
        parameters(model)[name].copy_(keep)
    return model


class _Linearly(TorchFunctionMode):
    """Maximum pools, called as functions or as modules, become averages, and activations that level
    off the identity: where many paths meet, their slope would be lost.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Tensor:
        called = getattr(func, "__name__", "").rstrip("_")
        if called in _LEVEL_OFF:
            same: Tensor = args[0] if args else kwargs["input"]
            return same
        average = _AVERAGES.get(called)
        if average is None:
            result: Tensor = func(*args, **(kwargs or {}))
            return result
        return _average(average, *args, **(kwargs or {}))


def _average(
    average: Any, x: Tensor, size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor:  # fmt: skip
    if return_indices or any(
        d != 1 for d in ((dilation,) if isinstance(dilation, int) else dilation)
    ):
        raise UserError("paths cannot be counted through maximum pools with dilation or indices")
    result: Tensor = average(x, size, stride or size, padding, ceil_mode)
    return result
