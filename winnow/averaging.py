"""Averages of a model's weights (EMA, SWA) under a mask that changes.

An average of what was trained keeps weights that have been removed since. Set to zero when they
are removed, they stay zero: every average of 0 and 0 is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters
from winnow.sharding import local, part_like

Averages = nn.Module | Sequence[nn.Module]


class Averaged:
    """The averages of a model's weights, by the model's names."""

    def __init__(self, averaged: nn.Module, mask: Mask) -> None:
        """UserError when the averaged model has other parameters than the mask."""
        self._averages = averages_of(averaged, list(mask))
        try:
            mask.check_fits(self._averages)
        except ValueError as error:
            raise UserError(f"the averaged {type(averaged).__name__}: {error}") from None

    @torch.no_grad()
    def remove(self, mask: Mask) -> None:
        """Set the averages of the weights that the mask does not keep to 0."""
        for name, average in self._averages.items():
            _clear(average, ~mask[name])

    @torch.no_grad()
    def restart(self, name: str, new: Tensor) -> None:
        """Weights that start anew are averaged anew, from 0."""
        _clear(self._averages[name], new)


def _clear(average: Tensor, where: Tensor) -> None:
    local(average).masked_fill_(part_like(where.to(average.device), average), 0)


def averages_of(averaged: nn.Module, names: list[str]) -> dict[str, nn.Parameter]:
    """The parameters of these names in an averaged model, which may have its copy in ``.module``
    (torch's ``AveragedModel`` and its like). Raises UserError when it lacks one.
    """
    module: object = averaged
    while isinstance(module, nn.Module):
        own = parameters(module)
        if all(name in own for name in names):
            return {name: own[name] for name in names}
        module = getattr(module, "module", None)
    own = parameters(averaged)
    missing = [name for name in names if name not in own]
    raise UserError(
        f"the averaged {type(averaged).__name__} has no {missing[0]!r}, neither itself nor in "
        f".module; it has {', '.join(list(own)[:3])}, …: pass the average of this model, e.g. "
        "torch.optim.swa_utils.AveragedModel(model)"
    )


def averages_listed(averages: Averages | None) -> list[nn.Module]:
    """None, one or several as a list."""
    if averages is None:
        return []
    return [averages] if isinstance(averages, nn.Module) else list(averages)
