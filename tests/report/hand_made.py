"""Contrasts made by hand, with numbers that all differ."""

from __future__ import annotations

from winnow.report.contrasts import Contrast
from winnow.report.statistics import Difference, Interval


def change(
    density: float, subject: float, reference: float, n: int = 4, half: float | None = None
) -> Difference:
    """A difference at one density; ``half``: half of its interval, None without one."""
    mean = subject - reference
    interval = None if half is None else Interval(mean - half, mean + half)
    return Difference(density, n, subject, reference, mean, interval)


def pair(
    *accuracy: Difference,
    iteration: tuple[Difference, ...] | None = None,
    subject: str = "ticket",
    reference: str = "dense",
) -> Contrast:
    """A contrast; ``iteration`` is None without early stopping."""
    return Contrast(subject, reference, accuracy, iteration)
