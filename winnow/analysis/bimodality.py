"""Whether the weights that survive began on two sides of zero, as numbers.

Frankle & Carbin 2019, "The Lottery Ticket Hypothesis", appendix F.1 and F.2: with Adam the initial
weights of tickets become "bimodal, with peaks on either side of 0" in the second hidden layer and
the output, with SGD in all layers (figures 15 and 16). The paper shows histograms; the measures
here are not its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.analysis.sigmas import SIGMA_BINS, SigmaHistogram, sigma_histograms
from winnow.mask import Mask
from winnow.survivors import check_known


@dataclass(frozen=True)
class TwoModes:
    """How much some values look like two heaps with a valley at zero; nan without values.

    ``valley``: the density within 0.25 σ of zero over that of the lower one of the two peaks, one
    on each side: 1 for one heap at zero, 0 for two with nothing between them. A peak is the fullest
    bin of 0.25 σ, which few values make a little too high: of 300 normal ones the valley is 0.95 on
    average.
    ``coefficient``: Sarle's, (g₁² + 1) / g₂ of skewness g₁ and kurtosis g₂, moments of the values
    themselves: 1/3 of a normal distribution, 5/9 of a uniform one, which is the usual bound for two
    modes, and 1, the largest, of two points. It passes that bound only where two heaps are well
    apart (two normal ones from 3.7 of their standard deviations on).
    ``positive``: the share of values above zero.
    """

    coefficient: float
    valley: float
    positive: float


def two_modes(initial: Mapping[str, Tensor], chosen: Mask) -> TwoModes:
    """Of all weights that ``chosen`` keeps, each over σ, the standard deviation of its layer.

    Layers whose initial weights are all equal are left out. Computed in float64.
    ValueError when the mask does not fit.
    """
    layers = sigma_histograms(initial, initial, chosen)
    scaled = [values / sigma for values, sigma in _kept(initial, chosen).values() if sigma > 0]
    whole = torch.cat(scaled) if scaled else torch.empty(0, dtype=torch.float64)
    return _of(whole, SigmaHistogram.total(layers.values()))


def layer_two_modes(initial: Mapping[str, Tensor], chosen: Mask) -> dict[str, TwoModes]:
    """Name → `two_modes` of that layer alone. ValueError as there."""
    layers = sigma_histograms(initial, initial, chosen)
    kept = _kept(initial, chosen)
    return {name: _of(kept[name][0], histogram) for name, histogram in layers.items()}


def bimodality_coefficient(values: Tensor) -> float:
    """Sarle's coefficient of some values of any shape, by their own moments, in float64.

    nan where all values are equal or there is none. (SAS and Pfister et al. 2013, "Good things peak
    in pairs", correct the moments for small samples; weights are many.)
    """
    flat = values.detach().flatten().double()
    centred = flat - flat.mean()
    spread = float(centred.square().mean().sqrt()) if len(flat) else 0.0
    if spread == 0 or not math.isfinite(spread):
        return math.nan
    scaled = centred / spread
    skewness, kurtosis = float(scaled.pow(3).mean()), float(scaled.pow(4).mean())
    return (skewness**2 + 1) / kurtosis


def valley(counts: Sequence[int]) -> float:
    """What lies at the middle of a histogram over the lower of its two peaks, left and right.

    ``counts``: an even number of bins, zero between the middle two, whose mean is what lies there.
    At most 1; 1 where one side is empty, as it has no peak; nan without any value.
    """
    half = len(counts) // 2
    if not any(counts):
        return math.nan
    lower = min(max(counts[:half]), max(counts[half:]))
    middle = (counts[half - 1] + counts[half]) / 2
    return min(1.0, middle / lower) if lower else 1.0


def _kept(initial: Mapping[str, Tensor], chosen: Mask) -> dict[str, tuple[Tensor, float]]:
    """By layer the kept initial weights, and σ of all of them."""
    check_known(initial, {}, "initial weights, for their standard deviation")
    whole = {name: initial[name].detach().cpu().double() for name in chosen}
    keep = chosen.to("cpu")
    return {name: (t[keep[name]], float(t.std(correction=0))) for name, t in whole.items()}


def _of(values: Tensor, histogram: SigmaHistogram) -> TwoModes:
    assert len(histogram.counts) == SIGMA_BINS
    count = values.numel()
    positive = int((values > 0).sum()) / count if count else math.nan
    return TwoModes(bimodality_coefficient(values), valley(histogram.counts), positive)
