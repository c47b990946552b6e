"""What steps saw, kept on the device until the host asks: losses, and a flag that sticks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from winnow.engine.recorded.track import Track


class LedgerEntry(NamedTuple):
    """What became of a row since it was last asked.

    ``going``: no loss or norm was ever not finite. ``seen``: the updates made. ``total``: the sum
    of their losses.
    """

    going: bool
    seen: int
    total: float


class Ledger:
    """One entry for each of R rows."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self.going = torch.ones(rows, device=device)
        self.sums = torch.zeros((2, rows), dtype=torch.float64, device=device)

    def tensors(self) -> list[Tensor]:
        """All there is, in a fixed order."""
        return [self.going, self.sums]

    def add(self, seen: Tensor) -> None:
        """Take the losses and norms (2, R) of a step that has updated what `fine` allows."""
        good = fine(seen, self.going)
        losses = torch.where(good, seen[0].double(), 0.0)
        self.sums.add_(torch.stack([losses, good.double()]))
        self.going.copy_(good)

    def entries(self, track: Track) -> list[LedgerEntry]:
        """Read and begin anew, but for the flag: one transfer for all rows."""
        total, seen, going = track.read(torch.cat([self.sums, self.going.double()[None]]))
        self.sums.zero_()
        return [
            LedgerEntry(bool(g), int(n), float(t))
            for t, n, g in zip(total, seen, going, strict=True)
        ]


def fine(seen: Tensor, going: Tensor) -> Tensor:
    """Of which rows (R,) losses and norms (2, R) are finite, now and in all steps before."""
    return seen.isfinite().all(0) & (going != 0)
