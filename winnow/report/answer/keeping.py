"""Down to which density an arm keeps the accuracy of the dense network."""

from __future__ import annotations

from winnow.experiment.arms import DENSE
from winnow.report.contrasts import Contrast, contrast, judgement
from winnow.report.results import Results, arms_with_rows
from winnow.report.statistics import Difference

TOLERATED = 0.005
"""How far a mean may lie below dense and still keep its accuracy: half a point."""

_ROUNDING = 1e-12


def against_the_dense(results: Results) -> Contrast | None:
    """The first arm that finds tickets, against dense; None while no such pair is finished."""
    finders = [arm for arm in arms_with_rows(results) if not arm.is_control]
    pairs = (contrast(results, arm.name, DENSE) for arm in finders)
    return next((pair for pair in pairs if pair.accuracy), None)


def kept(pair: Contrast) -> int | None:
    """The place in ``pair.accuracy`` of the sparsest density that keeps, with all before it."""
    last = None
    for place, change in enumerate(pair.accuracy):
        if _falls(change):
            break
        last = place
    return last


def _falls(change: Difference) -> bool:
    return judgement(change) == "worse" or change.mean < -TOLERATED - _ROUNDING
