"""Weights with a row for each unit: transposed convolutions store their inputs first."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from winnow.selection import uncompiled

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def by_unit(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name → tensor (units, inputs of a unit, …) of the weights (or bits) of a network's layers.

    Those of Linear and Conv are (O, I / groups, …) as they are. Those of ConvTranspose are
    (I, O / groups, …): group by group, rows and columns change places.
    """
    groups = {
        f"{name}.weight".removeprefix("."): module.groups
        for name, module in uncompiled(model).named_modules()
        if isinstance(module, _TRANSPOSED)
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
