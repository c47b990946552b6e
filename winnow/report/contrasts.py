"""Which arm is compared with which, on what, and at which densities it wins.

A contrast holds a subject (an arm that claims to find something), a reference (the dense network,
a control of the subject, or another way of finding) and their paired differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from winnow.experiment.arms import DENSE, TICKET
from winnow.report.results import Results, arms_with_rows, has_early_stopping
from winnow.report.statistics import Difference, against_arm, against_dense

Judgement = Literal["better", "open", "worse"]


@dataclass(frozen=True)
class Contrast:
    """Subject minus reference: test accuracy, and early-stopping iterations where they count.

    ``subject`` and ``reference`` are names of arms; a reference may be ``dense``. ``accuracy`` is
    at early stopping, or at the end where the recipe has no early stopping; ``iteration`` is None
    then. Differences go from the largest density to the smallest.
    """

    subject: str
    reference: str
    accuracy: tuple[Difference, ...]
    iteration: tuple[Difference, ...] | None


def contrasts(results: Results) -> tuple[Contrast, ...]:
    """For each arm that finds tickets: against dense, then its controls, then other finders."""
    present = arms_with_rows(results)
    finders = [arm for arm in present if not arm.is_control]
    pairs = []
    for arm in finders:
        controls = [other for other in present if other.is_control and other.of == arm.name]
        others = [other for other in finders if arm == TICKET and other != arm]
        references = [DENSE, *(other.name for other in (*controls, *others))]
        pairs += [(arm.name, reference) for reference in references]
    return tuple(contrast(results, *pair) for pair in pairs)


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


def meets_rule(contrast: Contrast, index: int) -> bool:
    """The rule of Frankle & Carbin 2019, section 1, at one density: a' ≥ a and j' ≤ j, in means.

    Deviation: the paper compares means of all trials; here both means are over the replicates
    that have both sides, so that a diverged run cannot tilt the comparison. Without early
    stopping only the accuracy counts.
    """
    return _accurate(contrast, index) and _early(contrast, index)


def accurate(contrast: Contrast) -> list[int]:
    """The densities, by index, where the accuracy half of the rule holds."""
    return [index for index in range(len(contrast.accuracy)) if _accurate(contrast, index)]


def early(contrast: Contrast) -> list[int]:
    """The densities, by index, where the early-stopping half of the rule holds."""
    return [index for index in range(len(contrast.accuracy)) if _early(contrast, index)]


def has_one_replicate(contrast: Contrast) -> bool:
    """Whether no density has two replicates with both sides, so that chance cannot be judged."""
    return all(difference.n < 2 for difference in contrast.accuracy)


def iteration_at(contrast: Contrast, index: int) -> Difference | None:
    """The difference in early-stopping iterations that belongs to an accuracy difference."""
    density = contrast.accuracy[index].density_total
    iterations = contrast.iteration or ()
    return next((change for change in iterations if change.density_total == density), None)


def judgement(difference: Difference, *, larger_is_better: bool = True) -> Judgement:
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


def _accurate(contrast: Contrast, index: int) -> bool:
    return contrast.accuracy[index].mean >= -_ROUNDING


def _early(contrast: Contrast, index: int) -> bool:
    if contrast.iteration is None:
        return True
    change = iteration_at(contrast, index)
    return change is not None and change.mean <= 0
