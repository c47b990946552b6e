"""The stacked engine: jobs of one kind as a single batched network, through torch.func.

For GPUs, which small networks leave idle. Every lane has its own mask, data order, augmentation,
dropout, batch norm statistics and divergence. A lane's numbers are those of the dense engine to
rounding: a batched product may sum in another order, and in another one for each number of lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from winnow.engine.base import Job, Metrics, Session, StepStats
from winnow.engine.batched import Batched
from winnow.engine.reopened import Reopened, not_here
from winnow.engine.stack import Stack
from winnow.errors import UserError
from winnow.state import State, masked

_SAME: Mapping[str, str] = {
    "batch": "batch sizes",
    "last_batch": "rules for an epoch's last batch",
    "steps": "lengths of training",
    "optimizer": "optimizers",
    "schedule": "learning-rate schedules",
    "clip": "limits of the gradient's norm",
}


class StackedEngine:
    """Trains all jobs at once, as lanes of one network."""

    name = "stacked"
    notes: Sequence[str] = ()

    def __init__(self, device: str | torch.device | None = None) -> None:
        """``device``: where to train; None takes a GPU where there is one."""
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Nothing: torch is compiled already."""

    def refuses(self, jobs: Sequence[Job]) -> str | None:
        """The reason why the jobs cannot be lanes of one network, or None."""
        if reason := next((why for why in map(not_here, jobs) if why), None):
            return reason
        for field, plural in _SAME.items():
            values = [getattr(job, field) for job in jobs]
            if found := _two_of(values):
                return f"the jobs have different {plural}: {found[0]} and {found[1]}"
        if found := _two_of([_examples(job) for job in jobs]):
            return f"the jobs have different numbers or shapes of images: {found[0]} and {found[1]}"
        models = [job.build() for job in jobs]
        if _two_of([_structure(model) for model in models]):
            return "the jobs train different networks"
        return _unbatchable(jobs[0], models[0]) if jobs else None

    def open(self, jobs: Sequence[Job], states: Sequence[State]) -> Session:
        """Start or continue the jobs from their states.

        Lanes that stand at different steps, or whose optimizers made different numbers of updates,
        are trained in separate stacks. UserError when the jobs are refused.
        """
        if reason := self.refuses(jobs):
            raise UserError(
                f"engine: stacked cannot train this: {reason}. Write engine: dense, or stack only "
                "jobs that differ in their seeds, masks and weights"
            )

        def opened(jobs: Sequence[Job], states: Sequence[State]) -> _Session:
            return _Session(jobs, [masked(state) for state in states], self.device)

        return Reopened(opened, jobs, states, self.device)


def _two_of(values: Sequence[Any]) -> tuple[Any, Any] | None:
    """The first value and one that differs from it."""
    return next(((values[0], value) for value in values if value != values[0]), None)


def _examples(job: Job) -> dict[str, tuple[int, ...]]:
    """Split → the number of its images, and their shape."""
    return {n: (len(s.index), *s.images.shape[1:]) for n, s in sorted(job.data.splits.items())}


def _structure(model: nn.Module) -> tuple[Any, ...]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return type(model), repr(model), [(name, tuple(t.shape), t.dtype) for name, t in tensors]


def _unbatchable(job: Job, model: nn.Module) -> str | None:
    """Why torch.func cannot run a network, tried with two lanes on the meta device."""
    train = job.data.splits["train"]
    try:
        Batched(model, tuple(train.images.shape[1:])).rehearse(min(job.batch, len(train.index)))
    except Exception as error:  # whatever a user's own module does under vmap
        return f"torch.func cannot batch the network: {str(error).strip().splitlines()[0]}"
    return None


class _Session:
    """Lanes in stacks: those at the same step together, a diverged lane by itself."""

    def __init__(self, jobs: Sequence[Job], states: Sequence[State], device: torch.device) -> None:
        self.jobs, self.device = jobs, device
        groups: dict[tuple[int, ...], list[int]] = {}
        for lane, state in enumerate(states):
            groups.setdefault((state.step, state.updates, len(state.slots)), []).append(lane)
        self.stacks = [self._stack(lanes, [states[i] for i in lanes]) for lanes in groups.values()]

    def _stack(self, lanes: Sequence[int], states: Sequence[State]) -> Stack:
        return Stack(lanes, [self.jobs[i] for i in lanes], states, self.device)

    def advance(self, to: int) -> Sequence[StepStats]:
        """Train every lane up to iteration ``to``."""
        stats: dict[int, StepStats] = {}
        for stack in list(self.stacks):
            stats |= stack.advance(to)
            for lane, state in stack.parted:
                self.stacks.append(self._stack([lane], [state]))
            stack.parted = []
        self.stacks = [stack for stack in self.stacks if stack.lanes]
        return [stats[lane] for lane in range(len(self.jobs))]

    def evaluate(self, split: str) -> Sequence[Metrics]:
        """Loss and accuracy of every lane on a split."""
        found: dict[int, Metrics] = {}
        for stack in self.stacks:
            found |= zip(stack.lanes, stack.evaluate(split), strict=True)
        return [found[lane] for lane in range(len(self.jobs))]

    def state(self) -> Sequence[State]:
        """Copies of where the lanes stand."""
        found: dict[int, State] = {}
        for stack in self.stacks:
            found |= zip(stack.lanes, stack.states(), strict=True)
        return [found[lane] for lane in range(len(self.jobs))]
