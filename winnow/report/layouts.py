"""Which views are drawn together: those of one figure of a paper, with their letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from winnow.experiment.recipe.views import View

_IN_A_ROW = 3


@dataclass(frozen=True)
class FigureLayout:
    """Views that are one figure; ``figure``: the paper's, empty for a view that is of none.

    ``number``: the place of its first view among all, from 1.
    """

    figure: str
    number: int
    views: tuple[View, ...]


def layouts_of(views: Sequence[View]) -> tuple[FigureLayout, ...]:
    """The figures of a recipe, in the order of their first views."""
    groups: dict[str, list[tuple[int, View]]] = {}
    for number, view in enumerate(views, 1):
        groups.setdefault(view.figure or f"view {number}", []).append((number, view))
    return tuple(
        FigureLayout(group[0][1].figure, group[0][0], tuple(view for _, view in group))
        for group in groups.values()
    )


def letters(panels: Sequence[View]) -> list[str]:
    """The letter of each panel, given the view that it is of: the views' own, else in turn.

    A figure of a single panel has none, nor have panels beyond z.
    """
    if any(view.panel for view in panels):
        return [view.panel for view in panels]
    if len(panels) == 1:
        return [""]
    return [ascii_lowercase[k] if k < len(ascii_lowercase) else "" for k in range(len(panels))]


def columns_of(panels: Sequence[View]) -> int:
    """How many panels stand side by side: as many as metrics take turns in, at most three; of four
    two.

    Where a figure has iteration and accuracy of each network, a network has a row.
    """
    metrics = [view.of for view in panels]
    for period in (2, 3):
        turns = [metrics[k % period] for k in range(len(metrics))]
        if len(metrics) > period and turns == metrics and len(set(metrics)) == period:
            return period
    return 2 if len(metrics) == 4 else min(len(metrics), _IN_A_ROW)
