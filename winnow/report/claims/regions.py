"""Where a claim wants its result: what is written, on the scale that it is judged on."""

from __future__ import annotations

import math

from winnow.experiment.recipe.claims import ClaimPart
from winnow.report.claims.holds import WantedRange


def region(part: ClaimPart, width: float) -> WantedRange:
    """The region of a part; logarithms of ratios and crossings. ``width``: a round, in logs.

    ``same: δ`` is −δ to δ of a difference and 1/(1 + δ) to 1 + δ of a ratio; a crossing is wanted
    within one round of the stated density.
    """
    if part.kind == "crossing":
        assert part.at is not None
        assert part.at.density is not None
        middle = math.log(part.at.density / 100)
        return WantedRange(middle - width, middle + width)
    if part.kind == "ratio":
        if part.same is not None:
            return WantedRange(-math.log1p(part.same), math.log1p(part.same))
        assert part.expect is not None
        low, high = part.expect
        return WantedRange(_log(low), _log(high))
    if part.same is not None:
        return WantedRange(-part.same, part.same)
    assert part.expect is not None
    return WantedRange(*part.expect)


def _log(number: float) -> float:
    return math.log(number) if number > 0 else -math.inf
