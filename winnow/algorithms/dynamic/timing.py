"""In which iterations of a training a dynamic method changes the mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

from winnow.amounts import option_iterations
from winnow.errors import UserError


@dataclass(frozen=True)
class Timing:
    """In which iterations the mask changes: begin, begin + every, … below end; and at ``last``.

    From each of the iterations ``doubled`` on the period is twice as long. ``steps``: the length of
    the training.
    """

    begin: int
    end: int
    every: int
    steps: int
    doubled: tuple[int, ...] = ()
    last: int | None = None

    def due(self, step: int) -> bool:
        """Whether the mask changes at this iteration."""
        if step == self.last:
            return True
        period = self.every << sum(step >= doubling for doubling in self.doubled)
        return self.begin <= step < self.end and (step - self.begin) % period == 0

    def next(self, step: int, limit: int) -> int:
        """The first such iteration from ``step`` on; ``limit`` if none comes before it."""
        return next((s for s in range(step, limit) if self.due(s)), limit)


def timed(
    method: str,
    steps: int,
    per_epoch: int | None,
    *,
    every: str,
    begin: str = "0it",
    end: str | None = None,
    share: float = 1.0,
) -> Timing:
    """A timing from amounts of training; ``end`` None is the fraction ``share`` of the training.

    UserError for amounts that are none, for epochs where ``per_epoch`` is None, for updates more
    often than every iteration, and for an end before the begin.
    """
    period = option_iterations(method, "every", every, per_epoch)
    first = option_iterations(method, "begin", begin, per_epoch)
    last = math.floor(share * steps + 1e-6)
    if end is not None:
        last = option_iterations(method, "end", end, per_epoch)
    if period < 1:
        raise UserError(f"every is {every!r}: {method} updates every iteration at most, '1it'")
    if not first <= last:
        raise UserError(f"{method} begins at iteration {first}, after its end at {last}")
    return Timing(first, last, period, steps)
