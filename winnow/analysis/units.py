"""Weights with a row for each unit: some layers store their inputs first."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from winnow.layers import axes_of
from winnow.selection import parameters, uncompiled


def by_unit(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name → tensor (units, inputs of a unit, …) of the weights (or bits) of a network's layers.

    Those of Linear and Conv are (O, I / groups, …) as they are, those of recurrent layers and
    attention (O, I) for each of their gates or projections. Those of ConvTranspose and of
    transformers' Conv1D are (I, O / groups, …): group by group, rows and columns change places.
    """
    axes = axes_of(uncompiled(model))
    named = parameters(model)
    groups = {
        name: axes[id(named[name])].groups
        for name in weights
        if name in named and id(named[name]) in axes and axes[id(named[name])].outputs == 1
    }
    return {
        name: _swapped(tensor, groups[name]) if name in groups else tensor
        for name, tensor in weights.items()
    }


def _swapped(tensor: Tensor, groups: int) -> Tensor:
    """(I, O / g, …) → (O, I / g, …)."""
    inputs, outputs, *taps = tensor.shape
    apart = tensor.reshape(groups, inputs // groups, outputs, *taps)
    return apart.transpose(1, 2).reshape(groups * outputs, inputs // groups, *taps)
