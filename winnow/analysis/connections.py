"""Connectivity: how many kept connections each unit has, coming in and going out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.analysis.units import by_unit
from winnow.errors import UserError
from winnow.mask import Mask


@dataclass(frozen=True)
class Connections:
    """Kept connections of units: ``counts`` (units,), each of ``possible`` ones."""

    counts: Tensor
    possible: int

    @property
    def mean(self) -> float:
        """Kept connections of a unit, on average."""
        return float(self.counts.double().mean())

    @property
    def minimum(self) -> int:
        """Of the unit with the fewest."""
        return int(self.counts.min())

    @property
    def maximum(self) -> int:
        """Of the unit with the most."""
        return int(self.counts.max())

    @property
    def spread(self) -> float:
        """Standard deviation over units of the share that each keeps: 0 where all keep as many."""
        return float((self.counts.double() / self.possible).std(correction=0))

    @property
    def dead(self) -> int:
        """Units without any."""
        return int((self.counts == 0).sum())

    def histogram(self, bins: int) -> list[float]:
        """The share of units whose kept share c / possible falls in each of so many equal bins.

        Bin k holds k / bins ≤ c / possible < (k + 1) / bins, the last one 1 as well; integers are
        compared, so nothing is rounded. UserError for fewer bins than 1.
        """
        if bins < 1:
            raise UserError(f"a histogram of {bins} bins: write at least 1")
        places = (self.counts.long() * bins // self.possible).clamp(max=bins - 1)
        return [n / len(self.counts) for n in torch.bincount(places, minlength=bins).tolist()]


@dataclass(frozen=True)
class LayerConnections:
    """Of one weight: ``incoming`` by unit (row of a matrix, filter of a convolution), ``outgoing``
    by unit of the layer before (column of a matrix, input channel of a convolution).
    """

    incoming: Connections
    outgoing: Connections


def unit_connections(mask: Mask, model: nn.Module | None = None) -> Mapping[str, LayerConnections]:
    """By layer, the kept connections of each unit (Frankle & Carbin 2019, appendix F.6).

    Weights (O, I) and kernels (O, I, …): a connection is one weight, so all taps count. A layer
    after a flattened map has a unit for each value of the map. Of grouped convolutions the outgoing
    ones are of the channels within a group. ``model``: the network, which tells the kernels of
    transposed convolutions, (I, O, …), from others; a mask alone does not, and they are taken for
    others without it. UserError for a tensor of fewer than two dimensions, or without entries.
    """
    layers = mask if model is None else by_unit(model, mask)
    return {name: _of_layer(name, keep) for name, keep in layers.items()}


def _of_layer(name: str, keep: Tensor) -> LayerConnections:
    if keep.ndim < 2 or not keep.numel():
        raise UserError(
            f"{name} of shape {tuple(keep.shape)} has no rows of incoming connections: take "
            "weights of Linear and convolutional layers"
        )
    taps = keep.flatten(2).sum(2) if keep.ndim > 2 else keep.long()
    size = keep.shape[2:].numel()
    outputs, inputs = taps.shape
    return LayerConnections(
        Connections(taps.sum(1), inputs * size), Connections(taps.sum(0), outputs * size)
    )
