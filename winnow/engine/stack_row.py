"""One network of several that train together: what a session is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from winnow.engine.base import Metrics, StepStats, Training
from winnow.state import State


class Stacking(Protocol):
    """What `Stack` and `Together` have in common: networks by their places."""

    step: int
    width: int
    parted: dict[int, tuple[StepStats, State]]

    def advance(self, to: int) -> None: ...
    def stats(self, place: int, /) -> StepStats: ...
    def evaluate(self, split: str, place: int, /) -> Metrics: ...
    def state(self, place: int, /) -> State: ...


class StackRow:
    """A row of a stack, in training."""

    def __init__(self, stack: Stacking, place: int, apart: Callable[[State], Training]) -> None:
        """``apart``: the row from a state on, in a stack of its own of the same width."""
        self.stack, self.place, self.apart = stack, place, apart

    def advance(self, to: int) -> StepStats:
        """Train the whole stack up to iteration ``to``, unless it is there."""
        assert to >= self.stack.step or self.place in self.stack.parted, "rows advance together"
        self.stack.advance(to)
        return self.stack.stats(self.place)

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        if self.place in self.stack.parted:
            return self.apart(self.state()).evaluate(split)
        return self.stack.evaluate(split, self.place)

    def state(self) -> State:
        """A copy of where it stands."""
        return self.stack.state(self.place)
