"""The earliest rewinding step from which on a ticket matches the dense network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from winnow.errors import UserError


@dataclass(frozen=True)
class EarliestStep:
    """``by_mean``: by the means over replicates; ``replicates``: of each. None: at no step.

    ``low`` to ``high``: for the median over replicates, covered with probability ``coverage``
    (0 for one replicate); None as a bound: at none of the steps.
    """

    by_mean: int | None
    replicates: tuple[int | None, ...]
    low: int | None
    high: int | None
    coverage: float


def earliest_step(
    steps: Sequence[int],
    accuracies: Sequence[Sequence[float]],
    dense: Sequence[float],
    margin: float = 0.0,
    *,
    lasting: bool = True,
    level: float = 0.95,
) -> EarliestStep:
    """The first rewinding step from which on a ticket's accuracy is at least dense − margin.

    ``accuracies[replicate][step]`` of tickets that rewind to ``steps`` (rising, iterations),
    ``dense[replicate]``, and ``margin``, all in one unit. Frankle et al. 2019, "Stabilizing the
    Lottery Ticket Hypothesis": a subnetwork matches where it is at least as accurate as the
    network; the paper reads the step off figures of means. ``by_mean`` is that rule, on means over
    replicates. ``lasting``: it must match at all later steps as well, so that one lucky step
    counts for nothing; as the paper finds accuracy declining at the latest steps, give steps up to
    there, or False: the first step that matches.

    The interval is of order statistics, as steps lie on a grid and may be missing (taken as later
    than every step): the k-th smallest to the k-th largest, k the largest whose coverage of the
    median, 1 − 2·P(B(n, ½) < k), is at least ``level``, or 1 where there is none: five replicates
    reach 0.9375. The true step may lie before the answer: between it and the step before.

    Raises UserError for no replicate or step, unequal lengths, steps that do not rise, numbers
    that are not finite, a negative margin and a level outside (0, 1).
    """
    _check(steps, accuracies, dense, margin, level)
    means = [math.fsum(column) / len(dense) for column in zip(*accuracies, strict=True)]
    goal = math.fsum(dense) / len(dense)
    by_mean = _earliest(steps, means, goal - margin, lasting)
    each = [
        _earliest(steps, row, own - margin, lasting)
        for row, own in zip(accuracies, dense, strict=True)
    ]
    low, high, coverage = _interval(each, level)
    return EarliestStep(by_mean, tuple(each), low, high, coverage)


def _earliest(
    steps: Sequence[int], accuracies: Sequence[float], goal: float, lasting: bool
) -> int | None:
    tiny = 1e-12 * max(1.0, abs(goal))  # equal means may differ by rounding
    matching = [accuracy >= goal - tiny for accuracy in accuracies]
    for index, step in enumerate(steps):
        if all(matching[index:]) if lasting else matching[index]:
            return step
    return None


def _interval(found: Sequence[int | None], level: float) -> tuple[int | None, int | None, float]:
    n = len(found)
    ordered = sorted(found, key=lambda step: math.inf if step is None else step)
    k = 1
    while k + 1 <= (n + 1) // 2 and _coverage(n, k + 1) >= level:
        k += 1
    return ordered[k - 1], ordered[n - k], _coverage(n, k)


def _coverage(n: int, k: int) -> float:
    """Of the median by the k-th smallest and the k-th largest of n values."""
    return 1.0 - sum(math.comb(n, i) for i in range(k)) / float(2 ** (n - 1))


def _check(
    steps: Sequence[int],
    accuracies: Sequence[Sequence[float]],
    dense: Sequence[float],
    margin: float,
    level: float,
) -> None:
    if not steps or not dense:
        raise UserError(f"{len(steps)} rewinding steps of {len(dense)} replicates: give some")
    if len(accuracies) != len(dense):
        raise UserError(
            f"accuracies of {len(accuracies)} replicates, but {len(dense)} dense networks: give "
            "one of each"
        )
    for replicate, row in enumerate(accuracies):
        if len(row) != len(steps):
            raise UserError(
                f"replicate {replicate} has {len(row)} accuracies for {len(steps)} steps: give one "
                "for each"
            )
    if any(later <= step for step, later in pairwise(steps)):
        raise UserError(f"rewinding steps {list(steps)} do not rise: sort them")
    if not all(map(math.isfinite, [*dense, *(a for row in accuracies for a in row)])):
        raise UserError("an accuracy is not finite: leave out replicates that diverged")
    if not 0 <= margin < math.inf or not 0 < level < 1:
        raise UserError(f"margin {margin}, level {level}: write margin >= 0 and 0 < level < 1")
