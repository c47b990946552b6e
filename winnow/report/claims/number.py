"""Whether a number that a paper prints is reproduced: is it what other runs like ours would give?

The paper's mean is a draw like ours, so it must lie in the prediction interval
m ± t·√(s²/n + σₚ²/nₚ), with t of n − 1 degrees of freedom (fewer than both samples have together,
so it is on the wide side unless the paper's spread is far above ours).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from winnow.experiment.recipe.paper_number import PaperNumber
from winnow.report.claims.intervals import ALPHA, LEAST, MeanEstimate
from winnow.report.statistics import Interval, t_quantile

RANGE_OVER_SIGMA = (1.128, 1.693, 2.059, 2.326, 2.534, 2.704, 2.847, 2.970, 3.078)
"""d₂: the mean range of 2, 3, … 10 normal values, in standard deviations."""


@dataclass(frozen=True)
class Reproduced:
    """``answer``, the ``interval`` that the paper's mean should lie in, and ours minus the
    paper's (of ratios: ours over the paper's); with ``reason`` where no answer is given.
    """

    answer: Literal["reproduced", "differs", "not given"]
    interval: Interval | None = None
    by: float | None = None
    reason: str = ""


def reproduced(ours: MeanEstimate, printed: PaperNumber, *, log: bool) -> Reproduced:
    """The answer for one comparison. ``log``: ours are logarithms (of ratios), the paper's not."""
    if ours.n < LEAST or ours.spread is None:
        return Reproduced(
            "not given", reason=f"{LEAST} replicates are the least, and n is {ours.n}"
        )
    interval = prediction(ours, printed, log=log)
    if interval is None:
        return not_given("all replicates agree exactly")
    mean = math.log(printed.mean) if log else printed.mean
    inside = interval.low <= mean <= interval.high
    by = ours.mean - mean
    back = math.exp if log else float
    shown = Interval(back(interval.low), back(interval.high))
    return Reproduced("reproduced" if inside else "differs", shown, back(by))


def prediction(ours: MeanEstimate, printed: PaperNumber, *, log: bool) -> Interval | None:
    """Where the mean of the paper's runs should lie; on the scale of ``ours``.

    Without a printed spread the paper's runs are taken to spread as ours do. Of ratios the printed
    spread is relative to the printed mean. None where nothing spreads at all.
    """
    assert ours.spread is not None
    error = paper_error(printed)
    if error is None:
        error = ours.spread / math.sqrt(printed.n)
    elif log:
        error /= printed.mean
    half = t_quantile(ours.n - 1, ALPHA) * math.sqrt(ours.spread**2 / ours.n + error**2)
    half = half or ours.resolution or 0.0
    return Interval(ours.mean - half, ours.mean + half) if half else None


def paper_error(printed: PaperNumber) -> float | None:
    """The standard error of the printed mean, σₚ/√nₚ; None where no spread is printed.

    A range (highest − lowest of nₚ runs) is divided by d₂ for σₚ: 2.33 for 5, 1.69 for 3.
    """
    half = printed.half_spread
    if half is None:
        return None
    if printed.kind == "se":
        return half
    sigma = 2 * half / RANGE_OVER_SIGMA[printed.n - 2] if printed.kind == "range" else half
    return sigma / math.sqrt(printed.n)


def not_given(reason: str) -> Reproduced:
    """No answer, and why."""
    return Reproduced("not given", reason=reason)


def count_reproduced(answers: Sequence[Reproduced | None]) -> tuple[int, int]:
    """How many numbers are reproduced, of how many with an answer."""
    given = [one for one in answers if one is not None and one.answer != "not given"]
    return sum(one.answer == "reproduced" for one in given), len(given)
