"""Between which values the channels of a tensor stay, whatever the network is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 1 << 22  # elements of a weight that are float64 at one time


@dataclass(frozen=True, eq=False)
class Range:
    """``low``, ``high`` (C,), float64: every value of channel c, at any position, for any input.

    A channel is constant where both are one finite number. A range is a statement about finite
    inputs: 0 times anything is 0.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        for side, free in (("low", -torch.inf), ("high", torch.inf)):
            value: Tensor = getattr(self, side).double()
            object.__setattr__(self, side, value.masked_fill(value.isnan(), free))

    def __len__(self) -> int:
        return len(self.low)

    @property
    def constant(self) -> Tensor:
        """ChannelBits (C,)."""
        return (self.low == self.high) & self.low.isfinite()

    @property
    def inside(self) -> Tensor:
        """A value (C,) of each channel's range: the one next to 0."""
        return torch.zeros_like(self.low).clamp(self.low, self.high)

    def at(self, index: Tensor | slice) -> Range:
        """The ranges of some channels."""
        return Range(self.low[index], self.high[index])

    def with_zero(self) -> Range:
        """Where zeros may stand among the values, such as those around a padded image."""
        return Range(self.low.clamp(max=0), self.high.clamp(min=0))

    def only_zeros(self) -> Range:
        """Where nothing is known but that zeros give zeros."""
        zero = (self.low == 0) & (self.high == 0)
        free = torch.full_like(self.low, torch.inf).masked_fill(zero, 0)
        return Range(-free, free)

    def monotone(self, function: Callable[[Tensor], Tensor]) -> Range:
        """After a function of single values that never falls, or never rises."""
        ends = function(self.low), function(self.high)
        bad = ends[0].isnan() | ends[1].isnan()
        low = torch.minimum(*ends).masked_fill(bad, -torch.inf)
        return Range(low, torch.maximum(*ends).masked_fill(bad, torch.inf))

    def pointwise(self, function: Callable[[Tensor], Tensor]) -> Range:
        """After any function of single values: known for constants alone."""
        known = self.constant
        value = function(self.low.masked_fill(~known, 0))
        known = known & value.isfinite()
        free = torch.full_like(self.low, torch.inf)
        return Range(torch.where(known, value, -free), torch.where(known, value, free))


def anything(count: int) -> Range:
    """The range of channels of which nothing is known."""
    free = torch.full((count,), torch.inf, dtype=torch.float64)
    return Range(-free, free)


def in_a_row(ranges: list[Range]) -> Range:
    """Ranges one after the other."""
    return Range(torch.cat([r.low for r in ranges]), torch.cat([r.high for r in ranges]))


def either(first: Range, second: Range) -> Range:
    """The values of both."""
    return Range(torch.minimum(first.low, second.low), torch.maximum(first.high, second.high))


def added(first: Range, second: Range) -> Range:
    """Sums of two."""
    return Range(first.low + second.low, first.high + second.high)


def negated(given: Range) -> Range:
    """The values times -1."""
    return Range(-given.high, -given.low)


def multiplied(first: Range, second: Range) -> Range:
    """Products of two."""
    ends = torch.stack(
        [_times(a, b) for a in (first.low, first.high) for b in (second.low, second.high)]
    )
    return Range(ends.amin(0), ends.amax(0))


def weighted(weight: Tensor, bias: Tensor | None, given: Range) -> Range:
    """After a layer: ``weight`` (G, O, I, taps) for G groups, of ``given`` G · I channels.

    A sum over all taps of a channel whose values may differ from tap to tap.
    """
    groups, _, inputs, taps = weight.shape
    rows = max(1, _BLOCK // max(1, groups * inputs * taps))
    low, high = (side.view(groups, 1, inputs) for side in (given.low, given.high))
    parts = [_sums(part.double(), low, high) for part in torch.split(weight, rows, dim=1)]
    below, above = (torch.cat(side, dim=1).reshape(-1) for side in zip(*parts, strict=True))
    if bias is None:
        return Range(below, above)
    return Range(below + bias.double(), above + bias.double())


def _sums(weight: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    up, down = weight.clamp(min=0).sum(-1), weight.clamp(max=0).sum(-1)
    below = (_times(up, low) + _times(down, high)).sum(-1)
    above = (_times(up, high) + _times(down, low)).sum(-1)
    used = (weight != 0).any(-1)
    known = (low == high) & low.isfinite()
    exact = (~used | known).all(-1)
    value = (weight.sum(-1) * torch.where(known, low, 0.0)).sum(-1)
    return torch.where(exact, value, below), torch.where(exact, value, above)


def _times(a: Tensor, b: Tensor) -> Tensor:
    return torch.where((a == 0) | (b == 0), 0.0, a * b)
