"""The runs that a page has in it: all, or the first few of each point where they are many."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from winnow.experiment.arms import DENSE
from winnow.report.results import Results, Row, is_dense

MOST_RUNS = 3_000
"""Runs on one page; of more, fewer of each point, but one at least."""


@dataclass(frozen=True)
class RunList:
    """``runs``: plain values for the page's script. ``each``: how many of a point are there at the
    most, None where all are; ``total``: how many there would be.
    """

    runs: tuple[dict[str, Any], ...]
    each: int | None
    total: int


def run_lists(results: Sequence[Results]) -> tuple[RunList, ...]:
    """A list for each recipe of the page, all thinned by the same number.

    A point is an arm at one round of one line: its runs are replicates and draws, of which the
    first stay, in the order of replicates and draws.
    """
    points = [_points(part) for part in results]
    sizes = [len(rows) for part in points for rows in part]
    each = _most_of_each(sizes)
    lists = []
    for part, groups in zip(results, points, strict=True):
        kept = [_plain(part, row) for rows in groups for row in rows[:each]]
        lists.append(RunList(tuple(kept), each, sum(map(len, groups))))
    return tuple(lists)


def _most_of_each(sizes: Sequence[int]) -> int | None:
    if sum(sizes) <= MOST_RUNS:
        return None
    each = max(sizes)
    while each > 1 and sum(min(size, each) for size in sizes) > MOST_RUNS:
        each -= 1
    return each


def _points(results: Results) -> list[list[Row]]:
    groups: defaultdict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in results.rows:
        groups[row.line, row.arm, row.round].append(row)
    return [sorted(rows, key=lambda row: (row.replicate, row.draw)) for rows in groups.values()]


def _plain(results: Results, row: Row) -> dict[str, Any]:
    """What is known of a run; unknown things are left out."""
    details = results.details.get(row.run)
    values = {
        "run": row.run,
        "arm": DENSE if is_dense(row) else row.arm,
        "line": row.line,
        "round": row.round,
        "replicate": row.replicate,
        "draw": row.draw or None,
        "density": float(f"{100 * row.density_total:.4g}"),
        "status": row.status,
        "diverged_at": row.diverged_at,
        "stop": row.stop_iteration,
        "censored": row.stop_censored or None,
        "stop_test": _percent(row.stop_test_accuracy),
        "final_test": _percent(row.final_test_accuracy),
        "iterations": row.iterations,
        "seconds": round(row.seconds, 1),
        "engine": details.engine if details else None,
        "seeds": _seeds(details.seeds) if details else None,
    }
    return {name: value for name, value in values.items() if _is_known(value)}


def _is_known(value: object) -> bool:
    return value not in (None, "") and not (isinstance(value, float) and not math.isfinite(value))


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 3)


def _seeds(seeds: Any) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(seeds.items()))
