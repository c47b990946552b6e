"""Histograms of weights in units of the standard deviation that their layer began with.

Frankle & Carbin 2019, "The Lottery Ticket Hypothesis", appendix F.1 and F.2: the initial weights
that survive pruning, a histogram for each layer (figures 15 and 16); F.5 has histograms of how they
moved. There each layer has axes of its own; here all share one, in units of σ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.mask import Mask
from winnow.survivors import check_known

SIGMA_BIN = 0.25
"""The width of a bin, in σ."""

SIGMA_BINS = 64
"""How many there are, half of them on each side of 0: from −8 σ to 8 σ."""


@dataclass(frozen=True)
class SigmaHistogram:
    """``counts``: values in each bin, from the lowest; a value on an edge is in the upper bin.
    ``outside``: values beyond the bins.
    """

    counts: tuple[int, ...]
    outside: int

    @property
    def densities(self) -> tuple[float, ...]:
        """Counts scaled so that the area, with what is outside, is 1; zeros without any value."""
        total = (sum(self.counts) + self.outside) * SIGMA_BIN
        return tuple(count / total if total else 0.0 for count in self.counts)

    @staticmethod
    def total(parts: Iterable[SigmaHistogram]) -> SigmaHistogram:
        """Of all values together: of a network from its layers, each in its own σ."""
        parts = list(parts)
        counts = (sum(part.counts[index] for part in parts) for index in range(SIGMA_BINS))
        return SigmaHistogram(tuple(counts), sum(part.outside for part in parts))


def sigma_middles() -> tuple[float, ...]:
    """The middles of the bins, in σ: −7.875 to 7.875."""
    return tuple((index + 0.5 - SIGMA_BINS / 2) * SIGMA_BIN for index in range(SIGMA_BINS))


def sigma_histograms(
    values: Mapping[str, Tensor], initial: Mapping[str, Tensor], chosen: Mask
) -> dict[str, SigmaHistogram]:
    """Name → histogram of the values that ``chosen`` keeps, over σ of that layer.

    σ is the standard deviation of all initial weights of the layer, kept or not, as they were
    drawn, not that of the rule that drew them. ``values``: the initial weights themselves, or
    movements. In a layer whose initial weights are all equal every value is outside.
    ValueError when the mask does not fit one of the two.
    """
    chosen.check_fits(values)
    chosen.check_fits(initial)
    check_known(values, chosen, "weights")
    check_known(initial, {}, "initial weights, for their standard deviation")
    return {
        name: _histogram(
            values[name].detach().cpu()[keep].double(),
            float(initial[name].detach().cpu().double().std(correction=0)),
        )
        for name, keep in chosen.to("cpu").items()
    }


def _histogram(values: Tensor, sigma: float) -> SigmaHistogram:
    if sigma == 0:
        return SigmaHistogram((0,) * SIGMA_BINS, values.numel())
    place = (values / sigma / SIGMA_BIN).floor() + SIGMA_BINS // 2
    inside = place[(place >= 0) & (place < SIGMA_BINS)].long()
    counts = torch.bincount(inside, minlength=SIGMA_BINS)
    return SigmaHistogram(tuple(counts.tolist()), values.numel() - inside.numel())
