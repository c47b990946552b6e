"""Changing masks in engines that cannot: the training is begun anew from the changed state.

Exact, as states hold all there is to a run; it costs a beginning for each change. Gradients of
removed weights come from the dense engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from winnow.engine.base import Job, Metrics, Perturbation, StepStats, Training
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
    return DenseEngine(device).open(job, bare).gradient()


class Reopened:
    """A session around a training that knows nothing of changing masks."""

    def __init__(
        self,
        begin: Callable[[State], Training],
        training: Training,
        job: Job,
        device: str | torch.device = "cpu",
    ) -> None:
        """``begin``: from a changed state on. ``device``: where dense gradients are computed."""
        self.begin, self.training = begin, training
        self.job, self.device = job, device

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        return self.training.advance(to)

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        return self.training.evaluate(split)

    def state(self) -> State:
        """A copy of where it stands."""
        return self.training.state()

    def look(self) -> State:
        """A copy of where it stands."""
        return self.training.state()

    def kept(self) -> Tensors:
        """What is kept of each masked tensor, 1-d."""
        state = self.look()
        return {name: state.weights[name][keep] for name, keep in (state.mask or {}).items()}

    def gradient(self) -> Tensors:
        """The dense gradient on the batch of the next step."""
        return dense_gradient(self.job, self.look(), self.device)

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        """Train on under another mask."""
        self.training = self.begin(remasked(self.state(), mask, values, grown))

    def perturb(self, change: Perturbation) -> None:
        """Move the kept weights."""
        state = self.state()
        weights = {name: weight.clone() for name, weight in state.weights.items()}
        for name, keep in (state.mask or {}).items():
            weights[name][keep] = change(name, weights[name][keep])
        self.training = self.begin(replace(state, weights=weights))

    def skip(self) -> None:
        """Move one iteration on without an update."""
        state = self.state()
        self.training = self.begin(replace(state, step=state.step + 1))
