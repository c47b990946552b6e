"""How series are drawn on a page: one look for an arm, or for a line, in all of its charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle

from winnow.experiment.arms import DENSE, TICKET
from winnow.report.figures.style import DENSE_COLOR, IN_TURN, Look, looks
from winnow.report.results import Results, arms_with_rows, by_line, compared_arms, is_dense

DENSE_LOOK = Look(DENSE_COLOR, "o", ":")


def arm_looks(results: Results) -> dict[str, Look]:
    """Arm → look, dense included; of a comparison tickets only where it prunes round by round.

    Methods of a comparison take colours in turn, and another dash each time that these begin anew:
    neighbours, which share charts, differ in colour.
    """
    pruned = {row.arm for row in results.rows if not is_dense(row)}
    methods = [arm.name for arm in compared_arms(results) if arm.name in pruned]
    made = {DENSE: DENSE_LOOK} | dict(zip(methods, _in_turn(), strict=False))
    others = [a for a in arms_with_rows(results) if a.name not in made]
    if methods and TICKET.name not in pruned:  # its only rows are dense networks
        others = [arm for arm in others if arm != TICKET]
    return made | {arm.name: look for arm, look in zip(others, looks(others), strict=True)}


def _in_turn() -> Iterator[Look]:
    for dash in cycle(("-", "--", ":", "-.")):
        yield from (replace(look, dash=dash) for look in IN_TURN)


def line_looks(results: Results) -> dict[str, Look]:
    """Line of the recipe → look, in turn; empty where there are no lines."""
    parts = [part.line for part in by_line(results) if part.line]
    return dict(zip(parts, cycle(IN_TURN), strict=False))


def series_looks(
    pairs: Sequence[tuple[str, str]], of_arms: Mapping[str, Look], of_lines: Mapping[str, Look]
) -> list[Look]:
    """The looks of the series of one chart, each an arm and a line.

    What differs has the colour: arms in a chart of one line, lines in a chart of one arm. Where
    both do, lines have it, and arms have dash and marker.
    """
    several_lines = len({line for _, line in pairs}) > 1
    several_arms = len({arm for arm, _ in pairs}) > 1
    chosen = []
    for arm, line in pairs:
        own = of_arms.get(arm, DENSE_LOOK)
        if not several_lines or line not in of_lines:
            chosen.append(own)
        elif several_arms:
            chosen.append(replace(own, color=of_lines[line].color))
        else:
            chosen.append(of_lines[line])
    return chosen
