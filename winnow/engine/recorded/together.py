"""Lanes side by side: every network's next step is launched before any is waited for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from winnow.engine.base import Metrics, StepStats
from winnow.engine.recorded.exactness import Exact
from winnow.engine.recorded.lane import Lane
from winnow.state import State

LOOK_EVERY = 200
"""Steps between looks at the flags of divergence. A network that diverged stays as it was; what is
launched until the next look changes nothing and costs its time."""


@dataclass
class _Seat:
    """Where a network sits, and what is known of it. ``updates``: made until the last look."""

    lane: Lane
    row: int
    updates: int
    seen: int = 0
    total: float = 0.0


class Together:
    """Networks in training that advance together, by their places in a stack of some width.

    ``parted``: what became of those that diverged.
    """

    def __init__(
        self,
        lanes: Mapping[int, tuple[Lane, int]],
        step: int,
        updates: int,
        width: int,
        exact: Exact,
    ) -> None:
        """``lanes``: place → its lane, and its row there. ``exact``: around all computation."""
        self.step, self.updates, self.width, self.exact = step, updates, width, exact
        self.seats = {at: _Seat(lane, row, updates) for at, (lane, row) in lanes.items()}
        self.parted: dict[int, tuple[StepStats, State]] = {}
        self._evaluated: dict[str, tuple[int, dict[int, Metrics]]] = {}

    def _live(self) -> list[Lane]:
        """Lanes in which some network goes on."""
        lanes = {id(s.lane): s.lane for at, s in self.seats.items() if at not in self.parted}
        return list(lanes.values())

    def advance(self, to: int) -> None:
        """Train all up to iteration ``to``."""
        with self.exact():
            while self.step < to and (lanes := self._live()):
                reached = min(to, self.step + LOOK_EVERY)
                for _ in range(self.step, reached):
                    for lane in lanes:
                        lane.launch()
                self._look(lanes, reached)
                self.step = reached

    def _look(self, lanes: list[Lane], reached: int) -> None:
        """Wait for the lanes, and part with the networks that diverged."""
        entries = {id(lane): lane.entries() for lane in lanes}
        for at, seat in self.seats.items():
            if at in self.parted:
                continue
            entry = entries[id(seat.lane)][seat.row]
            seat.seen += entry.seen
            seat.total += entry.total
            seat.updates += entry.seen
            if not entry.going:
                step = self.step + entry.seen
                stats = StepStats(step, math.nan, diverged_at=step + 1)
                self.parted[at] = stats, seat.lane.state(seat.row, step, seat.updates)
        assert all(
            s.updates - self.updates == reached - self.step or at in self.parted
            for at, s in self.seats.items()
        ), "a network that goes on has made every update"
        self.updates += reached - self.step

    def stats(self, place: int) -> StepStats:
        """What became of a network since this was last asked."""
        if place in self.parted:
            return self.parted[place][0]
        seat = self.seats[place]
        seen, total = seat.seen, seat.total
        seat.seen, seat.total = 0, 0.0
        return StepStats(self.step, total / seen if seen else math.nan, seen=seen)

    def evaluate(self, split: str, place: int) -> Metrics:
        """Loss and accuracy; those of the others, computed beside them, are remembered."""
        step, metrics = self._evaluated.get(split, (-1, {}))
        if step != self.step or place not in metrics:
            metrics = self._evaluate(split)
            self._evaluated[split] = self.step, metrics
        return metrics[place]

    def _evaluate(self, split: str) -> dict[int, Metrics]:
        lanes = self._live()
        with self.exact():
            for lane in lanes:
                lane.start_evaluating(split)
            found = {id(lane): lane.metrics(split) for lane in lanes}
        return {
            at: found[id(seat.lane)][seat.row]
            for at, seat in self.seats.items()
            if at not in self.parted
        }

    def state(self, place: int) -> State:
        """A copy of where a network stands."""
        if place in self.parted:
            return self.parted[place][1]
        seat = self.seats[place]
        return seat.lane.state(seat.row, self.step, self.updates)
