"""Changing masks in engines that cannot: the lane is opened anew from the changed state.

Exact, as a state holds all there is to a run; it costs an opening for each change. Gradients of
removed weights come from the dense engine, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from winnow.engine.base import Job, Metrics, Perturbation, StepStats
from winnow.engine.dense import DenseEngine
from winnow.mask import Mask
from winnow.state import State, Tensors, remasked


class FixedLane(Protocol):
    """A lane whose mask cannot change."""

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        ...

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        ...

    def state(self) -> State:
        """A copy of where it stands."""
        ...


class Reopened:
    """A lane (see `lanes.Lane`) around one whose mask is fixed."""

    def __init__(self, open_lane: Callable[[State], FixedLane], job: Job, state: State) -> None:
        self.open_lane, self.job = open_lane, job
        self.lane = open_lane(state)

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        return self.lane.advance(to)

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        return self.lane.evaluate(split)

    def state(self) -> State:
        """A copy of where it stands."""
        return self.lane.state()

    def look(self) -> State:
        """A copy of where it stands."""
        return self.lane.state()

    def gradient(self) -> Tensors:
        """The dense gradient on the batch of the next step."""
        return DenseEngine("cpu").open([self.job], [self.state()]).gradient(0)

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        """Train on under another mask."""
        self.lane = self.open_lane(remasked(self.state(), mask, values, grown))

    def perturb(self, change: Perturbation) -> None:
        """Move the kept weights."""
        state = self.state()
        weights = {name: weight.clone() for name, weight in state.weights.items()}
        for name, keep in (state.mask or {}).items():
            weights[name][keep] = change(name, weights[name][keep])
        self.lane = self.open_lane(replace(state, weights=weights))

    def skip(self) -> None:
        """Move one iteration on without an update."""
        state = self.state()
        self.lane = self.open_lane(replace(state, step=state.step + 1))
