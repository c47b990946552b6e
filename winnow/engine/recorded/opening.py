"""From jobs and states to networks that train together: in lanes, or as the rows of one lane."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from winnow.engine.base import Job
from winnow.engine.feed import Feed
from winnow.engine.recorded.exactness import Exact, exact_compiling, exact_numbers
from winnow.engine.recorded.lane import Lane
from winnow.engine.recorded.rows import BatchedRows
from winnow.engine.recorded.single import Single
from winnow.engine.recorded.steps import Codes
from winnow.engine.recorded.together import Together
from winnow.engine.recorded.track import Track, track_on
from winnow.engine.tracing import CompilerError
from winnow.state import State


@dataclass(frozen=True)
class Recording:
    """How an engine records: where, with which compiler, and how exactly.

    ``backend``: torch.compile's; None runs steps as they are written.
    ``codes``: what is compiled already. ``note``: takes what a user should know.
    """

    device: torch.device
    note: Callable[[str], None]
    backend: str | None = None
    bf16: bool = False
    deterministic: bool = True
    tf32: bool = False
    track: Callable[[torch.device], Track] = track_on
    codes: Codes = field(default_factory=dict)

    @contextlib.contextmanager
    def exact(self) -> Iterator[None]:
        """Around all that is computed."""
        with exact_numbers(self.device, self.deterministic, self.tf32):
            yield

    def lanes(self, jobs: Mapping[int, Job], states: Mapping[int, State], width: int) -> Together:
        """Each network in a lane of its own; the states are masked and at one step."""
        moved: dict[int, Tensor] = {}
        with self.exact():
            lanes = {at: (self._lane(job, states[at], moved), 0) for at, job in jobs.items()}
        return _together(lanes, states, width, self.exact)

    def _lane(self, job: Job, state: State, moved: dict[int, Tensor]) -> Lane:
        feed = Feed(job, self.device, moved)
        track = self.track(self.device)
        with track.scope():
            single = Single(job, state, feed, self._compile, self.bf16)
            return Lane(single, [feed], state.step, state.updates, track, self.note)

    def _compile(self, program: Single | BatchedRows) -> None:
        if self.backend is None:
            return
        try:
            with exact_compiling(self.device, self.deterministic):
                program.compile(self.backend, self.codes)
        except CompilerError as error:
            self.note(f"steps are recorded as they are written, not compiled: {error}")

    def rows(self, jobs: Mapping[int, Job], states: Mapping[int, State], width: int) -> Together:
        """All networks as the rows of one lane; the states are masked and at one step."""
        moved: dict[int, Tensor] = {}
        own = {row: Feed(job, self.device, moved) for row, job in jobs.items()}
        feeds = [own.get(row, own[min(own)]) for row in range(width)]
        track = self.track(self.device)
        with self.exact(), track.scope():
            first = states[min(states)]
            program = BatchedRows(jobs, states, feeds, self._compile)
            lane = Lane(program, feeds, first.step, first.updates, track, self.note)
        return _together({row: (lane, row) for row in jobs}, states, width, self.exact)


def _together(
    lanes: Mapping[int, tuple[Lane, int]],
    states: Mapping[int, State],
    width: int,
    exact: Exact,
) -> Together:
    first = states[min(states)]
    return Together(lanes, first.step, first.updates, width, exact)
