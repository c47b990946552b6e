"""What figures against density show, as plain values: the points of arms, gathered in panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from winnow.experiment.arms import Arm
from winnow.report.comparison import arm_at_bound
from winnow.report.results import Results, arms_with_rows, compared_arms, control_arms
from winnow.report.statistics import Point, points

MOST_IN_A_PANEL = 7
"""Methods in one panel; with more, a comparison has several."""


@dataclass(frozen=True)
class Series:
    """One metric of one arm, from dense to sparse; ``label`` names it in the legend."""

    label: str
    arm: Arm
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows."""

    title: str
    series: tuple[Series, ...]


def shown_series(results: Results, metric: str) -> tuple[Series, ...]:
    """Every arm that has the metric; where methods are compared, the methods without controls."""
    return _series(results, metric, compared_arms(results) or arms_with_rows(results))


def method_panels(results: Results, metric: str) -> tuple[Panel, ...]:
    """The compared methods by the panel of their kind, in the recipe's order; at most
    MOST_IN_A_PANEL in each.

    Random masks are in no panel of their own, as every panel shows them (`random_masks`).
    """
    random = random_masks(results)
    arms = [arm for arm in compared_arms(results) if arm != random]
    panels = []
    for title in dict.fromkeys(arm.panel for arm in arms):
        inside = [arm for arm in arms if arm.panel == title]
        panels += _parts(title or "", _series(results, metric, inside))
    return tuple(panels)


def control_panels(results: Results, metric: str) -> tuple[Panel, ...]:
    """Each method that has controls, with them; none for controls without a number yet."""
    panels = []
    for method in results.arms:
        controls = [arm for arm in control_arms(results) if arm.of == method.name]
        series = [replace(s, label=s.arm.kind) for s in _series(results, metric, controls)]
        if series:
            own = [replace(s, label="method") for s in _series(results, metric, [method])]
            panels.append(Panel(method.name, (*own, *series)))
    return tuple(panels)


def random_masks(results: Results) -> Arm | None:
    """The arm of random masks that every panel shows beside its methods; None without one."""
    return arm_at_bound(results, "least")


def _series(results: Results, metric: str, arms: Sequence[Arm]) -> tuple[Series, ...]:
    """The series of some arms, without those that have no point."""
    every = [Series(arm.name, arm, points(results.rows, arm.name, metric)) for arm in arms]
    return tuple(series for series in every if series.points)


def _parts(title: str, series: Sequence[Series]) -> list[Panel]:
    """A panel that would be too full, in parts of about the same size; none of nothing."""
    count = ceil(len(series) / MOST_IN_A_PANEL)
    if count < 2:
        return [Panel(title, tuple(series))] if series else []
    size = ceil(len(series) / count)
    return [
        Panel(f"{title} ({k + 1} of {count})", tuple(series[k * size : (k + 1) * size]))
        for k in range(count)
    ]
