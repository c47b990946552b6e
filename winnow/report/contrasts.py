"""Which arm is compared with which, on what, and at which densities it wins.

A contrast holds a subject (an arm that claims to find something), a reference (the dense network,
a control of the subject, or another way of finding) and their paired differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from winnow.report.results import TICKET, Results, arms, has_early_stopping
from winnow.report.statistics import Difference, against_arm, against_dense

DENSE = "dense"
_CONTROLS = ("reinit", "random")

Outcome = Literal["better", "open", "worse"]


@dataclass(frozen=True)
class Contrast:
    """Subject minus reference: test accuracy, and early-stopping iterations where they count.

    ``accuracy`` is at early stopping, or at the end where the recipe has no early stopping;
    ``iteration`` is None then. Both go from the largest density to the smallest.
    """

    subject: str
    reference: str
    accuracy: tuple[Difference, ...]
    iteration: tuple[Difference, ...] | None


def contrasts(results: Results) -> tuple[Contrast, ...]:
    """For each arm that finds tickets: against dense, then its controls, then other finders."""
    present = arms(results)
    finders = [arm for arm in present if control_of(arm) is None]
    found = []
    for arm in finders:
        controls = [other for other in present if control_of(other) == arm]
        others = [other for other in finders if arm == TICKET and other != arm]
        found += [contrast(results, arm, other) for other in (DENSE, *controls, *others)]
    return tuple(found)


def contrast(results: Results, subject: str, reference: str) -> Contrast:
    """The differences between two arms; ``reference`` may be ``dense``."""
    stopping = has_early_stopping(results)
    return Contrast(
        subject,
        reference,
        _differences(results, subject, reference, accuracy_metric(results)),
        _differences(results, subject, reference, "stop_iteration") if stopping else None,
    )


def accuracy_metric(results: Results) -> str:
    """The test accuracy that the verdict is on."""
    return "stop_test_accuracy" if has_early_stopping(results) else "final_test_accuracy"


def control_of(arm: str) -> str | None:
    """The arm whose masks a control reuses: ``one-shot-reinit`` → ``one-shot``; else None."""
    if arm in _CONTROLS:
        return TICKET
    base, _, last = arm.rpartition("-")
    return base if base and last in _CONTROLS else None


def meets_rule(contrast: Contrast, place: int) -> bool:
    """The rule of Frankle & Carbin 2019, section 1, at one density: a' ≥ a and j' ≤ j, in means.

    Deviation: the paper compares means of all trials; here both means are over the replicates
    that have both sides, so that a diverged run cannot tilt the comparison. Without early
    stopping only the accuracy counts.
    """
    return _accurate(contrast, place) and _early(contrast, place)


def accurate(contrast: Contrast) -> list[int]:
    """The densities, by place, where the accuracy half of the rule holds."""
    return [place for place in range(len(contrast.accuracy)) if _accurate(contrast, place)]


def early(contrast: Contrast) -> list[int]:
    """The densities, by place, where the early-stopping half of the rule holds."""
    return [place for place in range(len(contrast.accuracy)) if _early(contrast, place)]


def iteration_at(contrast: Contrast, place: int) -> Difference | None:
    """The difference in early-stopping iterations that belongs to an accuracy difference."""
    density = contrast.accuracy[place].density_total
    return next((one for one in contrast.iteration or () if one.density_total == density), None)


def outcome(difference: Difference, *, larger_is_better: bool = True) -> Outcome:
    """Better or worse when the interval leaves out zero, else open (and without an interval)."""
    if difference.interval is None:
        return "open"
    if difference.interval.low > 0:
        return "better" if larger_is_better else "worse"
    if difference.interval.high < 0:
        return "worse" if larger_is_better else "better"
    return "open"


def _differences(
    results: Results, subject: str, reference: str, metric: str
) -> tuple[Difference, ...]:
    if reference == DENSE:
        return against_dense(results.rows, subject, metric)
    return against_arm(results.rows, subject, reference, metric)


# Test sets are counts of images: a mean of equal accuracies may differ in the last bit.
_ROUNDING = 1e-12


def _accurate(contrast: Contrast, place: int) -> bool:
    return contrast.accuracy[place].mean >= -_ROUNDING


def _early(contrast: Contrast, place: int) -> bool:
    if contrast.iteration is None:
        return True
    found = iteration_at(contrast, place)
    return found is not None and found.mean <= 0
