"""Train one run: evaluate on its grid, keep the best step, checkpoint on the way.

The loop drives an engine's session from outside. How often it stops to look at the clock changes no
number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from winnow import statefile
from winnow.algorithms.search.driven import settled
from winnow.engine.base import Engine, Job, Session
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.store import Result
from winnow.experiment.train.searched import sought
from winnow.files import write_whole
from winnow.mask import from_bytes, to_bytes
from winnow.reparametrisation import SCORES
from winnow.state import State

_LOOK_EVERY = 2.0  # seconds between looks at the clock


@dataclass
class Progress:
    """All of an unfinished run but the engine's state."""

    curve: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "steps": [],
            "validation_loss": [],
            "validation_accuracy": [],
            "test_accuracy": [],
        }
    )
    best: State | None = None
    best_loss: float = math.inf
    states: dict[int, State] = field(default_factory=dict)
    accuracy_at: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoints:
    """Where an unfinished run is written, after how many seconds each, and what trains it."""

    path: Path
    every: float
    choice: Mapping[str, Any] | None = None


def train(
    run: Run,
    record: Record,
    job: Job,
    engine: Engine,
    start: Callable[[], State],
    checkpoints: Checkpoints | None = None,
    report: Callable[[int], None] | None = None,
) -> tuple[Result, dict[str, State]]:
    """Train a run to its end, from its checkpoint if there is one.

    Returns the result and the states to keep by name (``final``, ``step-N``). A loss or gradient
    that is not finite ends it as diverged, with what was seen until then.
    """
    state, progress = _resume(record, checkpoints) or (start(), Progress())
    job = sought(run, job, state)
    session = engine.open(job, state)
    clock = _Clock(progress.seconds)
    if state.step == run.begin and not progress.curve["steps"]:
        _look(run, record, job, session, progress, run.begin)
    step, pace = state.step, 1
    while step < run.end:
        target = min(_next_look(run, record, step), step + pace)
        before = time.monotonic()
        stats = session.advance(target)
        if stats.diverged_at is not None:
            progress.seconds = clock.seconds()
            return _result(progress, session, job, engine, stats.diverged_at), {}
        pace = _new_pace(pace, time.monotonic() - before)
        step = target
        if step == _next_look(run, record, step - 1):
            _look(run, record, job, session, progress, step)
        if report:
            report(step)
        if checkpoints and clock.since_mark() > checkpoints.every and step < run.end:
            progress.seconds = clock.seconds()
            _save(checkpoints, record, session, progress)
            clock.mark()
    progress.seconds = clock.seconds()
    last = session.state()
    if not _is_finite(last):  # the last update went too far, and no later loss could tell
        return _result(progress, session, job, engine, run.end), {}
    result = _result(progress, session, job, engine, None)
    final = settled(job, last)[1]
    states = {"final": State(final.step, final.weights, final.buffers, final.mask)}
    return result, states | {f"step-{k}": v for k, v in progress.states.items()}


def _next_look(run: Run, record: Record, step: int) -> int:
    """The first iteration after ``step`` at which there is something to record."""
    grid = run.begin + ((step - run.begin) // run.evaluate + 1) * run.evaluate
    named = [k for k in (record.accuracy_at | record.states) if k > step]
    return min([grid, run.end, *named])


def _look(
    run: Run, record: Record, job: Job, session: Session, progress: Progress, step: int
) -> None:
    """Record what the run's grid and its record ask for at this step."""
    if step in record.states:
        progress.states[step] = _found(job, session)
    if step in record.accuracy_at:
        progress.accuracy_at[str(step)] = session.evaluate("test").accuracy
    if (step - run.begin) % run.evaluate == 0 or step == run.end:
        _evaluate(run, record, job, session, progress, step)


def _evaluate(
    run: Run, record: Record, job: Job, session: Session, progress: Progress, step: int
) -> None:
    curve = progress.curve
    if run.data["validation"]:
        metrics = session.evaluate("validation")
        curve["validation_loss"].append(_finite(metrics.loss))
        curve["validation_accuracy"].append(metrics.accuracy)
        if metrics.loss < progress.best_loss:  # the first minimum wins
            state = _found(job, session)
            if _has_its_density(run, state):
                progress.best = State(state.step, state.weights, state.buffers, state.mask)
                progress.best_loss = metrics.loss
    if record.test_curve:
        curve["test_accuracy"].append(session.evaluate("test").accuracy)
    curve["steps"].append(step)


def _has_its_density(run: Run, state: State) -> bool:
    """False while gradual pruning is on its way: no network there is what the run stands for."""
    return run.dynamic is None or (state.mask is not None and state.mask.kept == run.keep)


def _result(
    progress: Progress, session: Session, job: Job, engine: Engine, diverged: int | None
) -> Result:
    stop: dict[str, float] = {}
    best = progress.best
    if best is not None:
        kept = engine.open(replace(job, search=None), best)
        stop = {split: kept.evaluate(split).accuracy for split in _splits(job)}
    end = {}
    if diverged is None:
        end = {split: session.evaluate(split).accuracy for split in _splits(job)}
    grid = progress.curve["steps"]
    last = session.state()
    lost = job.search is not None and not _is_finite(last)  # scores that decide nothing
    mask = None if lost else settled(job, last)[1].mask
    return Result(
        status="done" if diverged is None else "diverged",
        diverged_at=diverged,
        curve=progress.curve,
        stop_iteration=best.step if best else None,
        stop_censored=best.step == grid[-1] if best else None,
        stop_validation_loss=_finite(progress.best_loss) if best else None,
        stop=stop,
        final=end,
        accuracy_at=progress.accuracy_at,
        kept={name: int(keep.sum()) for name, keep in mask.items()} if mask else {},
        seconds=round(progress.seconds, 3),
    )


def _found(job: Job, session: Session) -> State:
    """The state as others use it: of a mask search the network found so far."""
    return settled(job, session.state())[1]


def _is_finite(state: State) -> bool:
    trained = [*state.weights.values(), *state.extras.get(SCORES, {}).values()]
    return all(bool(tensor.isfinite().all()) for tensor in trained)


def _splits(job: Job) -> list[str]:
    return sorted(job.data.splits)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _new_pace(pace: int, seconds: float) -> int:
    """How many iterations to make before looking at the clock again."""
    if seconds < _LOOK_EVERY / 2:
        return pace * 2
    return max(1, pace // 2) if seconds > _LOOK_EVERY else pace


class _Clock:
    """Seconds of training over all sessions, and since the last checkpoint."""

    def __init__(self, spent: float) -> None:
        self.spent, self.began = spent, time.monotonic()
        self.marked = self.began

    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.began

    def since_mark(self) -> float:
        return time.monotonic() - self.marked

    def mark(self) -> None:
        self.marked = time.monotonic()


def _save(checkpoints: Checkpoints, record: Record, session: Session, progress: Progress) -> None:
    """Write a checkpoint, whole."""
    states = {"now": session.state()} | {f"step-{k}": v for k, v in progress.states.items()}
    if progress.best is not None:
        states["best"] = progress.best
    tensors: dict[str, Tensor] = {}
    about: dict[str, Any] = {}
    for name, state in states.items():
        packed, about[name] = statefile.pack_state(state, f"{name}/")
        tensors |= packed
    plain = {k: getattr(progress, k) for k in ("curve", "accuracy_at", "seconds")}
    about = {"states": about, "progress": plain, "record": record.dump()}
    about["choice"] = checkpoints.choice
    write_whole(checkpoints.path, to_bytes("checkpoint", tensors, about))


def begun_with(path: Path) -> Mapping[str, Any]:
    """What trains the run of a checkpoint: an engine's name, and details.

    A checkpoint that does not say is one of the time when ``auto`` was always dense. Raises
    ValueError when it is damaged.
    """
    _, plain = from_bytes("checkpoint", path.read_bytes(), str(path))
    choice: Mapping[str, Any] = plain.get("choice") or {"engine": "dense", "torch": []}
    return choice


def _resume(record: Record, checkpoints: Checkpoints | None) -> tuple[State, Progress] | None:
    """Where the run's checkpoint stands; None without one.

    Raises ValueError when it is damaged. One that recorded less than is asked for now is no use.
    """
    if checkpoints is None or not checkpoints.path.exists():
        return None
    path = checkpoints.path
    tensors, plain = from_bytes("checkpoint", path.read_bytes(), str(path))
    if not Record.load(plain["record"]).covers(record):
        return None
    states = {
        name: statefile.unpack_state(_under(tensors, f"{name}/"), about, f"{name}/")
        for name, about in plain["states"].items()
    }
    progress = Progress(**plain["progress"])
    progress.best = states.get("best")
    if progress.best is not None:
        place = progress.curve["steps"].index(progress.best.step)
        progress.best_loss = progress.curve["validation_loss"][place]
    progress.states = {
        int(name.removeprefix("step-")): s for name, s in states.items() if name.startswith("step-")
    }
    return states["now"], progress


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
