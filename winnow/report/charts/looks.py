"""How series are drawn on a page: one look for an arm, or for a line, in all of its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle

from winnow.experiment.arms import DENSE, TICKET, Arm
from winnow.report.figures.style import DENSE_COLOR, IN_TURN, Look, looks
from winnow.report.results import Results, arms_with_rows, by_line, compared_arms

DENSE_LOOK = Look(DENSE_COLOR, "o", ":")


def arm_looks(results: Results) -> dict[str, Look]:
    """Arm → look, dense included. Methods of a comparison take theirs in turn within their panel,
    as several panels never share axes.
    """
    arms = arms_with_rows(results)
    made: dict[str, Look] = {DENSE: DENSE_LOOK}
    methods = compared_arms(results)
    if not methods:
        return made | _named(arms)
    for panel in dict.fromkeys(arm.panel for arm in methods):
        made |= _named([arm for arm in methods if arm.panel == panel])
    controls = [arm for arm in arms if arm.name not in made]
    return made | _named(controls)


def line_looks(results: Results) -> dict[str, Look]:
    """Line of the recipe → look, in turn; empty where there are no lines."""
    parts = [part.line for part in by_line(results) if part.line]
    return dict(zip(parts, cycle(IN_TURN), strict=False))


def series_look(
    arm: str, line: str, of_arms: Mapping[str, Look], of_lines: Mapping[str, Look]
) -> Look:
    """Where there are lines they have the colour, and the arm has dash and marker."""
    own = of_arms.get(arm, DENSE_LOOK)
    if line not in of_lines:
        return own
    if arm == TICKET.name:
        return of_lines[line]
    return replace(own, color=of_lines[line].color)


def _named(arms: Sequence[Arm]) -> dict[str, Look]:
    return {arm.name: look for arm, look in zip(arms, looks(arms), strict=True)}
