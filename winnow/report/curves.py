"""Which learning curves are shown, as plain values: means over replicates, gathered in panels.

As in figure 3 of Frankle & Carbin 2019: the first rounds, the later rounds, and the first rounds
against random reinitialisation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.experiment.arms import REINIT, TICKET, Arm
from winnow.report.results import Curve, Results, Row

_EARLY = (0.513, 0.211)  # the densities that the paper shows
_LATE = (0.070, 0.036, 0.019)
_NEAR = math.log(1.15)  # rounds of 20 % are 1.25 apart, so one of them is at most 1.12 away


@dataclass(frozen=True)
class Band:
    """One line: steps, the mean over replicates, the lowest and the highest single run."""

    arm: Arm
    round: int
    density_total: float
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def curve_panels(results: Results) -> dict[str, tuple[Band, ...]]:
    """Panels by title, dense first in each; a panel that has nothing but dense is left out."""
    dense = band(results, TICKET, 0)
    if dense is None:
        return {}
    early = _rounds_near(results, _EARLY) or _halfway(results)
    late = _rounds_near(results, _LATE) or _last(results)
    wanted = {
        "First rounds": [(TICKET, number) for number in early],
        "Later rounds": [(TICKET, number) for number in late if number not in early],
        "Against reinitialisation": [(arm, number) for number in early for arm in (TICKET, REINIT)],
    }
    panels = {title: _bands(results, lines) for title, lines in wanted.items()}
    if not any(line.arm == REINIT for line in panels["Against reinitialisation"]):
        del panels["Against reinitialisation"]
    return {title: (dense, *bands) for title, bands in panels.items() if bands} or {
        "Dense": (dense,)
    }


def band(results: Results, arm: Arm, number: int) -> Band | None:
    """The curves of one arm and round, brought together at the steps that all of them have.

    Draws are averaged within a replicate first, as everywhere. None without a finished run that
    has a curve.
    """
    rows = [row for row in results.rows if (row.arm, row.round) == (arm.name, number)]
    rows = [row for row in rows if row.status == "done" and row.run in results.curves]
    if not rows:
        return None
    tested = shows_test_accuracy(results)
    series = [(row, _at_steps(results.curves[row.run], tested)) for row in rows]
    steps = sorted(set.intersection(*(set(values) for _, values in series)))
    if not steps:
        return None
    single = [[values[step] for _, values in series] for step in steps]
    return Band(
        arm=arm,
        round=number,
        density_total=sum(row.density_total for row in rows) / len(rows),
        steps=tuple(steps),
        mean=tuple(_replicate_mean(series, step) for step in steps),
        low=tuple(min(values) for values in single),
        high=tuple(max(values) for values in single),
    )


def shows_test_accuracy(results: Results) -> bool:
    """Whether every curve has test accuracies; else validation accuracy is shown in all."""
    done = [row.run for row in results.rows if row.status == "done"]
    curves = [results.curves[run] for run in done if run in results.curves]
    return bool(curves) and all(curve.test_accuracy for curve in curves)


def _bands(results: Results, lines: Sequence[tuple[Arm, int]]) -> list[Band]:
    bands = (band(results, arm, number) for arm, number in lines)
    return [line for line in bands if line is not None]


def _replicate_mean(series: Sequence[tuple[Row, Mapping[int, float]]], step: int) -> float:
    draws: defaultdict[int, list[float]] = defaultdict(list)
    for row, values in series:
        draws[row.replicate].append(values[step])
    means = [sum(values) / len(values) for values in draws.values()]
    return sum(means) / len(means)


def _at_steps(curve: Curve, tested: bool) -> dict[int, float]:
    values = curve.test_accuracy if tested else curve.validation_accuracy
    return dict(zip(curve.steps, values, strict=True)) if values else {}


def _rounds_near(results: Results, targets: Sequence[float]) -> list[int]:
    """The round whose density is nearest to each target, where one is near."""
    chosen = set()
    for target in targets:
        far = {n: abs(math.log(density / target)) for n, density in _densities(results).items()}
        near = [number for number in far if far[number] <= _NEAR]
        if near:
            chosen.add(min(near, key=lambda number: far[number]))
    return sorted(chosen)


def _halfway(results: Results) -> list[int]:
    """Where no density of the paper was trained: the round in the middle."""
    rounds = sorted(_densities(results))
    return rounds[(len(rounds) - 1) // 2 :][:1]


def _last(results: Results) -> list[int]:
    return sorted(_densities(results))[-1:]


def _densities(results: Results) -> dict[int, float]:
    """Density by round, of the rounds of tickets that have curves."""
    densities: dict[int, float] = {}
    for row in results.rows:
        ticket = row.arm == TICKET.name and row.round > 0
        if ticket and row.status == "done" and row.run in results.curves:
            densities.setdefault(row.round, row.density_total)
    return densities
