"""A table as a value: what it says, before any format writes it."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.report.method_table import Estimate
from winnow.report.statistics import Summary


@dataclass(frozen=True)
class Measured:
    """A mean over ``n`` replicates in the unit of its column, written with ``digits`` decimals.

    ``low`` and ``high``: the range of single runs; ``half``: half of a 95 % interval; None where
    there is none. ``at_least``: the true mean may be larger (censored stops). ``of``: the most
    replicates of any mean in the table.
    """

    mean: float
    n: int
    low: float | None = None
    high: float | None = None
    half: float | None = None
    digits: int = 2
    at_least: bool = False
    of: int = 0

    def number(self, value: float) -> str:
        """A number of this column; of zero decimals with commas between thousands."""
        return f"{value:,.{self.digits}f}"


TableCell = str | Measured
"""A text, or a mean; nothing is the empty text."""


@dataclass(frozen=True)
class PlainTable:
    """``name``: of its files; ``caption``: what the numbers are, and of how many replicates.

    ``head``: the columns with their units. ``left``: how many columns are words, to the left;
    ``long``: of these, the ones with sentences.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    body: tuple[tuple[TableCell, ...], ...]
    left: int = 1
    long: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        """The caption with its stop."""
        return f"{self.caption.rstrip('.')}."


def with_range(
    summary: Summary, scale: float = 1.0, digits: int = 2, *, at_least: bool = False
) -> Measured:
    """A summary times ``scale``, with its range; without it where all runs agree."""
    spread = summary.minimum != summary.maximum
    return Measured(
        scale * summary.mean,
        summary.n,
        scale * summary.minimum if spread else None,
        scale * summary.maximum if spread else None,
        digits=digits,
        at_least=at_least,
    )


def plus_minus(estimate: Estimate, of: int, scale: float = 1.0) -> Measured:
    """An estimate times ``scale`` with half of its interval; ``of``: the most replicates of any."""
    interval = estimate.interval
    half = None if interval is None else scale * interval.half_width
    return Measured(scale * estimate.mean, estimate.n, half=half, of=of)
