"""Histograms with fixed bins around zero, and the shares of values at or near zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from winnow.errors import UserError


@dataclass(frozen=True)
class SymmetricBins:
    """Bins that are symmetric around zero, given by magnitudes e₀ < e₁ < … < eₙ: 2n + 1 of them.

    The middle one holds |v| < e₀; bin k of a side e₍ₖ₋₁₎ ≤ |v| < eₖ. The outermost hold everything
    beyond as well, so that the shares of a tensor add up to 1. ``middles``: from −… through 0.
    """

    edges: tuple[float, ...]
    middles: tuple[float, ...]

    def shares(self, values: Tensor) -> list[float] | None:
        """The share of values (any shape) in each bin; None without values.

        UserError for values that are not finite.
        """
        flat = values.detach().flatten().double()
        if not len(flat):
            return None
        if not bool(flat.isfinite().all()):
            count = int((~flat.isfinite()).sum())
            raise UserError(f"{count} of {len(flat)} values are not finite: no bin holds them")
        sides = len(self.edges) - 1
        edges = torch.tensor(self.edges, dtype=torch.float64, device=flat.device)
        bins = torch.bucketize(flat.abs(), edges, right=True).clamp_(max=sides)
        counts = torch.bincount(bins * flat.sign().long() + sides, minlength=2 * sides + 1)
        return [count / len(flat) for count in counts.tolist()]


def log_bins(smallest: float, largest: float, per_decade: int) -> SymmetricBins:
    """Bins whose magnitudes grow by the same factor, from ``smallest`` to at least ``largest``.

    Their middles are geometric means. UserError unless 0 < smallest < largest and per_decade ≥ 1.
    """
    if not 0 < smallest < largest < math.inf or per_decade < 1:
        raise UserError(
            f"logarithmic bins from {smallest} to {largest}, {per_decade} a decade: write "
            "0 < smallest < largest and at least 1 a decade"
        )
    count = math.ceil(math.log10(largest / smallest) * per_decade - 1e-9)
    edges = [smallest * 10 ** (k / per_decade) for k in range(count + 1)]
    return _symmetric(edges, [math.sqrt(low * high) for low, high in pairwise(edges)])


def linear_bins(largest: float, count: int) -> SymmetricBins:
    """An odd number of equally wide bins from −largest to largest.

    UserError unless largest is positive and count odd and at least 3.
    """
    if not 0 < largest < math.inf or count < 3 or count % 2 == 0:
        raise UserError(
            f"{count} equal bins from -{largest} to {largest}: write a positive number, and an odd "
            "count of at least 3, so that one bin has 0 in its middle"
        )
    width = 2 * largest / count
    edges = [(k + 0.5) * width for k in range(count // 2 + 1)]
    return _symmetric(edges, [(low + high) / 2 for low, high in pairwise(edges)])


@dataclass(frozen=True)
class ZeroShares:
    """Of ``count`` values: the shares that are 0 exactly, and within ε of 0 (those included)."""

    count: int
    zero: float | None
    near: float | None


def zero_shares(values: Tensor, epsilon: float) -> ZeroShares:
    """How many values are 0, or |v| ≤ ε; None without values. UserError for a negative ε."""
    if not epsilon >= 0:
        raise UserError(f"values within {epsilon} of zero: write a number of at least 0")
    count = values.numel()
    if not count:
        return ZeroShares(0, None, None)
    zero = int((values == 0).sum()) / count
    return ZeroShares(count, zero, int((values.double().abs() <= epsilon).sum()) / count)


def _symmetric(edges: list[float], middles: list[float]) -> SymmetricBins:
    return SymmetricBins(tuple(edges), (*(-m for m in reversed(middles)), 0.0, *middles))


def pooled(values: Mapping[str, Tensor]) -> Tensor:
    """All values of all layers as one tensor of one dimension."""
    return torch.cat([tensor.flatten() for tensor in values.values()])
