"""Rivals in turns: processor time, cold caches, and every turn another one begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np

HOW = "processor time, medians of alternating turns, caches emptied before each"
"""For the results: how `in_turns` with `here` measures."""

COLD = 64 * 2**20
"""Bytes gone through before a turn: more than any second-level cache, and than a Zen's third."""

Repeat = Callable[[int], object]
"""Does a side's work so many times."""

Name = TypeVar("Name", bound=Hashable)

Timed = Callable[[int], float]
"""Does a side's work so many times, and says how many seconds that took."""

_rubbish = np.zeros(COLD // 8)


def cold() -> None:
    """Put other data into this core's caches."""
    np.add(_rubbish, 1.0, out=_rubbish)


def here(repeat: Repeat, clock: Callable[[], float] = time.process_time) -> Timed:
    """A side of this process. ``clock``: ``time.perf_counter`` where several cores work."""

    def timed(count: int) -> float:
        cold()
        began = clock()
        repeat(count)
        return max(clock() - began, 1e-9)

    return timed


def in_turns(
    sides: Mapping[Name, Timed], turns: int, turn: float = 0.03, warm: int = 2
) -> dict[Name, list[float]]:
    """Seconds for one repetition of each side, one value for each turn.

    A side's turn lasts about ``turn`` seconds and at least one repetition. Each side is warmed up
    by ``warm`` repetitions first, which are not counted.
    """
    counts = {name: _repetitions(timed, turn, warm) for name, timed in sides.items()}
    times: dict[Name, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(turns):
        for name in order:
            times[name].append(sides[name](counts[name]) / counts[name])
        order = [*order[1:], order[0]]
    return times


def _repetitions(timed: Timed, turn: float, warm: int) -> int:
    """How many repetitions fill a turn."""
    timed(warm)  # allocations, first calls
    count = 1
    while (seconds := timed(count)) < turn / 4:
        count *= 4
    return max(1, round(turn * count / seconds))
