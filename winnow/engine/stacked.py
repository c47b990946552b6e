"""The stacked engine: jobs of one kind that train together; on a CPU as one batched network.

For GPUs, which small networks leave idle. There steps are recorded as CUDA graphs (see
`winnow.engine.recorded`): linear networks as one batched network, through torch.func; networks
with convolutions, which batched are grouped ones that cuDNN runs slowly, in lanes, each its own
graph on a stream of its own. Every row of a stack has its own mask, data order, augmentation,
dropout, batch norm statistics and divergence. A row's numbers are those of the dense
engine to rounding: a batched product may sum in another order. What order that is depends on the
width of the stack and, as kernels treat the end of a tensor and what is not aligned in memory by
other code, on the row's place in it; on the CPU measured for both. On what the other rows hold it
does not depend. So a run resumes in the bits of an uninterrupted one as long as it keeps its width
and its place, alone or with others: both are recorded with the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from winnow.engine.base import Job, Session
from winnow.engine.batched import Batched
from winnow.engine.measure import layers_of
from winnow.engine.recorded.epochs import on_device
from winnow.engine.recorded.opening import Recording
from winnow.engine.recorded.single import unrecordable
from winnow.engine.reopened import Reopened, not_here
from winnow.engine.stack import Stack
from winnow.engine.stack_row import Stacking, StackRow
from winnow.errors import UserError
from winnow.state import State, masked

_log = logging.getLogger(__name__)

Form = Literal["stack", "rows", "lanes"]
"""How jobs train together: batched step by step, batched and recorded, or recorded one by one."""

_SAME: Mapping[str, str] = {
    "batch": "batch sizes",
    "last_batch": "rules for an epoch's last batch",
    "steps": "lengths of training",
    "optimizer": "optimizers",
    "schedule": "learning-rate schedules",
    "clip": "limits of the gradient's norm",
}


_SMALL_STEP = 10**9  # multiplications of a forward pass
_SMALL_NETWORK = 4 * 10**6  # parameters: 64 networks with Adam take some 6 GB


def worth_stacking(job: Job) -> bool:
    """Whether a GPU is idle most of the time that a job's step takes.

    An argument, not a measurement: a GPU of today makes more than 10^13 multiplications a second,
    so that a step of three times `_SMALL_STEP` computes for at most 0.3 ms, while its 60 and more
    kernels take at least 5 µs each to launch. Above, a network keeps the GPU busy by itself,
    batched or in a lane, and little is left to gain. `bench/gpu.py` measures it.
    """
    layers = layers_of(job).values()
    one = sum(layer.weights * layer.uses for layer in layers)
    small = sum(layer.weights for layer in layers) <= _SMALL_NETWORK
    return small and one * job.batch <= _SMALL_STEP


def form_on_a_gpu(job: Job) -> Form:
    """How jobs of a kind train together on a GPU."""
    if not on_device(job):
        return "stack"
    return "lanes" if any(p.ndim > 2 for p in job.build().parameters()) else "rows"


class StackedEngine:
    """Trains jobs together."""

    name = "stacked"

    def __init__(
        self,
        device: str | torch.device | None = None,
        form: Form | None = None,
        backend: str | None = "inductor",
        deterministic: bool = True,
        tf32: bool = False,
    ) -> None:
        """``device``: where to train; None takes a GPU where there is one. ``form``: None takes
        what suits the device and the network. ``backend``: torch.compile's, for what is recorded;
        None records steps as they are written. ``deterministic``, ``tf32``: see `exact_numbers`.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.form = form
        self.notes: Sequence[str] = ()
        self.recording = Recording(
            self.device, self._note, backend, deterministic=deterministic, tf32=tf32
        )

    def _note(self, text: str) -> None:
        """Keep a note, and log it the first time."""
        if text not in self.notes:
            self.notes = (*self.notes, text)
            _log.warning("engine %s: %s", self.name, text)

    def _form(self, job: Job) -> Form:
        if self.form is not None:
            return self.form
        return form_on_a_gpu(job) if self.device.type == "cuda" else "stack"

    def _impossible(self, job: Job) -> str | None:
        """Why a network can be no part of a stack, or None."""
        if self._form(job) == "lanes":
            return unrecordable(job)
        return _unbatchable(job, job.build())

    def prepare(self, job: Job) -> None:
        """Nothing: torch is compiled already."""

    def refuses(self, job: Job) -> str | None:
        """The reason why the job cannot be a row of a stack, or None."""
        return not_here(job) or self._impossible(job)

    def open(self, job: Job, state: State) -> Session:
        """Start or continue the job, as a stack of one. UserError when it is refused."""
        return self.open_many({0: job}, {0: state}, 1)[0]

    def stackable(self, jobs: Sequence[Job]) -> str | None:
        """The reason why the jobs cannot share a stack, or None."""
        if reason := next((why for why in map(not_here, jobs) if why), None):
            return reason
        for field, plural in _SAME.items():
            values = [getattr(job, field) for job in jobs]
            if pair := _two_of(values):
                return f"the jobs have different {plural}: {pair[0]} and {pair[1]}"
        if pair := _two_of([_examples(job) for job in jobs]):
            return f"the jobs have different numbers or shapes of images: {pair[0]} and {pair[1]}"
        if self._form(jobs[0]) == "rows" and (pair := _two_of([_pixels(job) for job in jobs])):
            return f"the jobs' pixels come differently: {pair[0]} and {pair[1]}"
        if _two_of([_structure(job.build()) for job in jobs]):
            return "the jobs train different networks"
        return self._impossible(jobs[0])

    def open_many(
        self, jobs: Mapping[int, Job], states: Mapping[int, State], width: int
    ) -> Mapping[int, Session]:
        """Sessions that advance together, by their place in a stack of ``width``.

        UserError when the jobs, or their states, cannot share a stack.
        """
        reason = self.stackable(list(jobs.values())) or _apart(list(states.values()))
        if reason:
            raise UserError(
                f"engine: stacked cannot train this: {reason}. Write engine: dense, or stack only "
                "jobs that differ in their seeds, masks and weights"
            )
        stack = self._stack(jobs, states, width)
        return {place: self._session(stack, job, place) for place, job in jobs.items()}

    def _stack(self, jobs: Mapping[int, Job], states: Mapping[int, State], width: int) -> Stacking:
        begun = {at: masked(state) for at, state in states.items()}
        match self._form(next(iter(jobs.values()))):
            case "lanes":
                return self.recording.lanes(jobs, begun, width)
            case "rows":
                return self.recording.rows(jobs, begun, width)
            case _:
                return Stack(jobs, begun, width, self.device)

    def _session(self, stack: Stacking, job: Job, place: int) -> Session:
        def apart(state: State) -> StackRow:
            return StackRow(self._stack({place: job}, {place: state}, stack.width), place, apart)

        return Reopened(apart, StackRow(stack, place, apart), job, self.device)


def _apart(states: Sequence[State]) -> str | None:
    """Why the states cannot share a stack, or None."""
    if pair := _two_of([state.step for state in states]):
        return f"the jobs stand at different iterations: {pair[0]} and {pair[1]}"
    if pair := _two_of([(state.updates, sorted(state.slots)) for state in states]):
        return f"the optimizers made different numbers of updates: {pair[0][0]} and {pair[1][0]}"
    return None


def _two_of(values: Sequence[Any]) -> tuple[Any, Any] | None:
    """The first value and one that differs from it."""
    return next(((values[0], value) for value in values if value != values[0]), None)


def _examples(job: Job) -> dict[str, tuple[int, ...]]:
    """Split → the number of its images, and their shape."""
    return {n: (len(s.index), *s.images.shape[1:]) for n, s in sorted(job.data.splits.items())}


def _pixels(job: Job) -> tuple[str, str, bool]:
    """What batches of all rows have in common where one recording makes them."""
    return str(job.data.splits["train"].in_memory.dtype), job.data.augment, job.data.unit_norm


def _structure(model: nn.Module) -> tuple[Any, ...]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return type(model), repr(model), [(name, tuple(t.shape), t.dtype) for name, t in tensors]


def _unbatchable(job: Job, model: nn.Module) -> str | None:
    """Why torch.func cannot run a network, tried with two rows on the meta device."""
    train = job.data.splits["train"]
    try:
        Batched(model, tuple(train.images.shape[1:])).rehearse(min(job.batch, len(train.index)))
    except Exception as error:  # whatever a user's own module does under vmap
        return f"torch.func cannot batch the network: {str(error).strip().splitlines()[0]}"
    return None
