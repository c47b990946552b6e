"""Changing masks in engines that cannot: the session is opened anew from the changed states.

Exact, as states hold all there is to a run; it costs an opening for each change. Gradients of
removed weights come from the dense engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from winnow.engine.base import Job, Metrics, Perturbation, StepStats
from winnow.engine.dense import DenseEngine
from winnow.mask import Mask
from winnow.state import State, Tensors, remasked

DENSE_SLOTS = "its removed weights keep their momentum, so that it trains densely"
"""Why engines that mask gradients refuse a job with ``dense_slots``."""

SEARCH = "scores train over frozen weights, which only the dense engine does"
"""Why all other engines refuse a job with ``search``."""


def not_here(job: Job) -> str | None:
    """Why only the dense engine can run a job, or None."""
    if job.search is not None:
        return SEARCH
    return DENSE_SLOTS if job.dense_slots else None


def dense_gradient(job: Job, state: State, device: str | torch.device = "cpu") -> Tensors:
    """The gradient of every parameter, removed weights too, on the batch of the next step."""
    bare = State(state.step, state.weights, state.buffers)  # neither mask nor slots shape it
    return DenseEngine(device).open([job], [bare]).gradient(0)


class FixedSession(Protocol):
    """The part of a session that knows nothing of changing masks."""

    def advance(self, to: int) -> Sequence[StepStats]:
        """Train every lane up to iteration ``to``."""
        ...

    def evaluate(self, split: str) -> Sequence[Metrics]:
        """Loss and accuracy of every lane on a split."""
        ...

    def state(self) -> Sequence[State]:
        """Copies of where the lanes stand."""
        ...


class Reopened:
    """A session around those that ``opened`` gives, one after the other."""

    def __init__(
        self,
        opened: Callable[[Sequence[Job], Sequence[State]], FixedSession],
        jobs: Sequence[Job],
        states: Sequence[State],
        device: str | torch.device = "cpu",
    ) -> None:
        """``device``: where dense gradients are computed."""
        self.opened, self.jobs, self.device = opened, jobs, device
        self.session = opened(jobs, states)

    def advance(self, to: int) -> Sequence[StepStats]:
        """Train every lane up to iteration ``to``."""
        return self.session.advance(to)

    def evaluate(self, split: str) -> Sequence[Metrics]:
        """Loss and accuracy of every lane on a split."""
        return self.session.evaluate(split)

    def state(self) -> Sequence[State]:
        """Copies of where the lanes stand."""
        return self.session.state()

    def look(self, lane: int) -> State:
        """A copy of where a lane stands."""
        return self.session.state()[lane]

    def kept(self, lane: int) -> Tensors:
        """What is kept of each masked tensor of a lane, 1-d."""
        state = self.look(lane)
        return {name: state.weights[name][keep] for name, keep in (state.mask or {}).items()}

    def gradient(self, lane: int) -> Tensors:
        """The dense gradient on the batch of a lane's next step."""
        return dense_gradient(self.jobs[lane], self.look(lane), self.device)

    def remask(
        self,
        lane: int,
        mask: Mask,
        values: Tensors | None = None,
        grown: Tensors | None = None,
    ) -> None:
        """Train a lane on under another mask."""
        self._change(lane, lambda state: remasked(state, mask, values, grown))

    def perturb(self, lane: int, change: Perturbation) -> None:
        """Move the kept weights of a lane."""

        def moved(state: State) -> State:
            weights = {name: weight.clone() for name, weight in state.weights.items()}
            for name, keep in (state.mask or {}).items():
                weights[name][keep] = change(name, weights[name][keep])
            return replace(state, weights=weights)

        self._change(lane, moved)

    def skip(self, lane: int) -> None:
        """Move a lane one iteration on without an update."""
        self._change(lane, lambda state: replace(state, step=state.step + 1))

    def _change(self, lane: int, change: Callable[[State], State]) -> None:
        states = list(self.session.state())
        states[lane] = change(states[lane])
        self.session = self.opened(self.jobs, states)
