"""A session whose lanes are trained one after the other: what engines without stacking open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from winnow.engine.base import Metrics, StepStats
from winnow.state import State


class Lane(Protocol):
    """One job in training; the methods are a session's, for one job."""

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        ...

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        ...

    def state(self) -> State:
        """A copy of where it stands."""
        ...


class Lanes:
    """A session over lanes that know nothing of each other."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes

    def advance(self, to: int) -> Sequence[StepStats]:
        """Train every lane up to iteration ``to``."""
        return [lane.advance(to) for lane in self.lanes]

    def evaluate(self, split: str) -> Sequence[Metrics]:
        """Loss and accuracy of every lane on a split."""
        return [lane.evaluate(split) for lane in self.lanes]

    def state(self) -> Sequence[State]:
        """Copies of where the lanes stand."""
        return [lane.state() for lane in self.lanes]
