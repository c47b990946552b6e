"""The paper's numbers beside ours: a row for each claim that has one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from winnow.report.claims.evidence import Gap
from winnow.report.claims.holds import leaves
from winnow.report.claims.judge import Judged
from winnow.report.claims.number import Reproduced
from winnow.report.claims.words import unit_in_words


@dataclass(frozen=True)
class Mark:
    """A mean with its spread, in a drawing 400 wide and 44 high."""

    name: str
    mean: float
    low: float
    high: float
    y: int


@dataclass(frozen=True)
class Printed:
    """A claim with the paper's number and ours, in the claim's unit; spreads are low and high.

    ``ours`` and ``interval`` are None where nothing of it is finished, or where one replicate is.
    """

    id: str
    says: str
    unit: str
    paper: float
    paper_spread: tuple[float, float] | None
    paper_n: int
    ours: float | None
    interval: tuple[float, float] | None
    n: int
    answer: str

    def marks(self) -> tuple[Mark, ...]:
        """Paper and ours on one scale, which is this row's own."""
        sides = [("paper", self.paper, self.paper_spread, 12)]
        if self.ours is not None:
            sides.append(("ours", self.ours, self.interval, 32))
        ends = [end for _, mean, spread, _ in sides for end in (mean, *(spread or ()))]
        low, wide = float(min(ends)), float(max(ends) - min(ends)) or 1.0

        def place(value: float) -> float:
            return round(10.0 + 380.0 * (value - low) / wide, 1)

        marks = []
        for name, mean, spread, y in sides:
            first, last = spread or (mean, mean)
            marks.append(Mark(name, place(mean), place(first), place(last), y))
        return tuple(marks)


def printed_numbers(judged: Sequence[Judged]) -> tuple[Printed, ...]:
    """One for each claim with a number, in their order."""
    return tuple(_printed(one) for one in judged if one.claim.number is not None)


def _printed(one: Judged) -> Printed:
    number = one.claim.number
    assert number is not None
    part = one.claim.parts()[0]
    ours, interval, n = _ours(one)
    return Printed(
        id=one.claim.id,
        says=one.claim.says,
        unit=unit_in_words(part).strip(),
        paper=number.mean,
        paper_spread=_spread(one),
        paper_n=number.n,
        ours=ours,
        interval=interval,
        n=n,
        answer=_answer(one.number),
    )


def _spread(one: Judged) -> tuple[float, float] | None:
    number = one.claim.number
    assert number is not None
    if isinstance(number.spread, tuple):
        return number.spread
    half = number.half_spread
    return None if half is None else (number.mean - half, number.mean + half)


def _ours(one: Judged) -> tuple[float | None, tuple[float, float] | None, int]:
    """Mean, 95 % interval and replicates of the first comparison, on the claim's own scale."""
    if one.tree is None:
        return None, None, 0
    leaf = leaves(one.tree)[0]
    found = leaf.estimate
    if found is None or isinstance(leaf.evidence, Gap):
        return None, None, 0
    back = math.exp if leaf.evidence.log else float
    interval = found.interval()
    ends = None if interval is None else (back(interval.low), back(interval.high))
    return back(found.mean), ends, found.n


def _answer(number: Reproduced | None) -> str:
    if number is None:
        return "not run"
    return number.answer if number.answer != "not given" else f"not given: {number.reason}"
