"""Train runs to their ends: one by itself, or several that advance together in a stack.

The loop drives sessions from outside. How often it stops to look at the clock changes no number.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from winnow.engine.base import Engine, Job, Stacks, Training
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.store import Result
from winnow.experiment.train.checkpoint import Checkpoints, Progress, read_checkpoint
from winnow.experiment.train.halt import Halt, HaltedError, never
from winnow.experiment.train.start import job_from
from winnow.experiment.train.trainee import Trainee
from winnow.state import State

_LOOK_EVERY = 2.0  # seconds between looks at the clock

Ended = tuple[Result, dict[str, State]]
"""What a run gave: its result, and the states to keep by name."""

Opener = Callable[[Mapping[int, Job], Mapping[int, State]], Mapping[int, Training]]
"""Opens sessions, each at a place of its own."""

OnStep = Callable[[Run, int], None]
"""Takes a run and the iteration that it has reached."""


@dataclass(frozen=True)
class Begun:
    """A run that is to be trained: where it stands, and what has been seen of it."""

    run: Run
    record: Record
    job: Job
    state: State
    progress: Progress
    checkpoints: Checkpoints | None = None


def begin(
    run: Run,
    record: Record,
    job: Job,
    start: Callable[[], State],
    checkpoints: Checkpoints | None = None,
) -> Begun:
    """Take a run up, from its checkpoint if there is one, else from the state of ``start``."""
    state, progress = read_checkpoint(checkpoints, record) or (start(), Progress())
    return Begun(run, record, job_from(run, job, state), state, progress, checkpoints)


def train(
    run: Run,
    record: Record,
    job: Job,
    engine: Engine,
    start: Callable[[], State],
    checkpoints: Checkpoints | None = None,
    report: Callable[[int], None] | None = None,
) -> Ended:
    """Train a run to its end, from its checkpoint if there is one.

    A loss or gradient that is not finite ends it as diverged, with what was seen until then.
    """

    def tell(_: Run, step: int) -> None:
        if report:
            report(step)

    begun = begin(run, record, job, start, checkpoints)
    return train_together({0: begun}, alone(engine), tell)[0]


def alone(engine: Engine) -> Opener:
    """Each session by itself."""
    return lambda jobs, states: {at: engine.open(job, states[at]) for at, job in jobs.items()}


def in_a_stack(engine: Stacks, width: int) -> Opener:
    """Sessions that advance together."""
    return lambda jobs, states: engine.open_many(jobs, states, width)


def _silent(_run: Run, _step: int) -> None:
    """Report nothing."""


def train_together(
    begun: Mapping[int, Begun],
    opener: Opener,
    report: OnStep = _silent,
    halt: Halt | None = None,
) -> dict[int, Ended]:
    """Train runs that stand at the same iteration and end at the same one, by their places.

    Each ends as it would alone. The time is shared out equally. Raises HaltedError when ``halt``
    asks for it, after a checkpoint of each; not when all are at their ends.
    """
    jobs = {at: one.job for at, one in begun.items()}
    sessions = opener(jobs, {at: one.state for at, one in begun.items()})
    trainees = {
        at: Trainee(b.run, b.record, b.job, sessions[at], b.progress, b.checkpoints)
        for at, b in begun.items()
    }
    step = next(iter(begun.values())).state.step
    advance(list(trainees.values()), step, report, halt or never())
    best = _best_sessions(trainees, opener)
    return {at: trainee.end(best.get(at)) for at, trainee in trainees.items()}


class Advancing(Protocol):
    """What `advance` trains: a `Trainee`, or a finished run of which more is to be recorded.

    ``until``: the iteration at which it ends; ``progress`` takes the seconds.
    """

    @property
    def run(self) -> Run: ...

    @property
    def until(self) -> int: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def checkpoints(self) -> Checkpoints | None: ...

    @property
    def diverged_at(self) -> int | None: ...

    def next_look(self, step: int) -> int: ...

    def begin(self, step: int) -> None: ...

    def advance(self, to: int) -> None: ...

    def save(self) -> None: ...


def advance(live: Sequence[Advancing], step: int, report: OnStep, halt: Halt) -> None:
    """Train all of them from an iteration to their end, or until they diverge.

    Raises HaltedError, after a checkpoint of each, where ``halt`` asks for it.
    """
    end, pace = live[0].until, 1
    every = min((t.checkpoints.every for t in live if t.checkpoints), default=0.0)
    clock = _Clock()
    for trainee in live:
        trainee.begin(step)
    while live and step < end:
        target = min(step + pace, *(trainee.next_look(step) for trainee in live))
        before = time.monotonic()
        for trainee in live:
            trainee.advance(target)
        pace = _new_pace(pace, time.monotonic() - before)
        clock.share(live)
        live = [trainee for trainee in live if trainee.diverged_at is None]
        step = target
        for trainee in live:
            report(trainee.run, step)
        if live and step < end and halt.asked:
            _leave(live)
        if step < end and clock.since_mark() > every:
            for trainee in live:
                trainee.save()
            clock.mark()
    clock.share(live)


def _leave(live: Sequence[Advancing]) -> None:
    """Keep where the runs stand; a disk that is full keeps what it had."""
    for trainee in live:
        with contextlib.suppress(OSError):
            trainee.save()
    raise HaltedError


def _best_sessions(trainees: Mapping[int, Trainee], opener: Opener) -> Mapping[int, Training]:
    """Sessions that stand at the best states seen, where those in training cannot return there."""
    best = {at: trainee.apart() for at, trainee in trainees.items()}
    states = {at: replace(state, step=0) for at, state in best.items() if state is not None}
    jobs = {at: replace(trainees[at].job, search=None) for at in states}
    return opener(jobs, states) if states else {}


def _new_pace(pace: int, seconds: float) -> int:
    """How many iterations to make before looking at the clock again."""
    if seconds < _LOOK_EVERY / 2:
        return pace * 2
    return max(1, pace // 2) if seconds > _LOOK_EVERY else pace


class _Clock:
    """Seconds since they were last shared out, and since the last checkpoint."""

    def __init__(self) -> None:
        self.shared = self.marked = time.monotonic()

    def share(self, trainees: Sequence[Advancing]) -> None:
        """Share the seconds since the last time out among runs."""
        now = time.monotonic()
        for trainee in trainees:
            trainee.progress.seconds += (now - self.shared) / len(trainees)
        self.shared = now

    def since_mark(self) -> float:
        return time.monotonic() - self.marked

    def mark(self) -> None:
        self.marked = time.monotonic()
