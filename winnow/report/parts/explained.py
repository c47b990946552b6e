"""A ticket to explain, as a value, and its five cells from rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from winnow.report.contrasts import accuracy_metric
from winnow.report.parts.decompose import CELLS, TICKET_CELL, Decomposition, decompose
from winnow.report.results import Results
from winnow.report.statistics import value


@dataclass(frozen=True)
class Explained:
    """What is known of why a ticket works.

    ``recipe``, ``line``, ``arm``, ``round``: which one; ``density_total`` of all weights.
    ``missing``: cell → its runs that are not done yet. ``parts``: None without a replicate that
    has all five cells. ``at``: where accuracies are read.
    """

    recipe: str
    line: str
    arm: str
    round: int
    density_total: float
    missing: Mapping[str, int]
    parts: Decomposition | None
    at: str


def cell_arm(subject: str, cell: str) -> str:
    """The name of the arm that stands for a cell: ``ticket``, ``reinit``; ``snip-reinit``."""
    if cell == TICKET_CELL:
        return subject
    return cell if subject == TICKET_CELL else f"{subject}-{cell}"


def parts_of(results: Results, subject: str, round_: int) -> Decomposition | None:
    """The decomposition of the arm ``subject`` at a round; draws of a replicate are averaged."""
    metric = accuracy_metric(results)
    cells: dict[str, dict[int, float]] = {}
    for cell in CELLS:
        draws: defaultdict[int, list[float]] = defaultdict(list)
        for row in results.rows:
            if row.arm != cell_arm(subject, cell) or row.round != round_:
                continue
            if (number := value(row, metric)) is not None:
                draws[row.replicate].append(number)
        cells[cell] = {number: math.fsum(own) / len(own) for number, own in draws.items()}
    return decompose(cells)
