"""What a worker does with a task: take its runs up, train them, store what they give."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from winnow.algorithms.dynamic.driven import Driven
from winnow.data.image_files import decoder
from winnow.engine import SPARSE_CPU
from winnow.engine.auto import Choice, engine_of
from winnow.engine.base import Engine, Stacks
from winnow.errors import UserError
from winnow.experiment.runs import SPARSE_GRAPHS, Record, Run
from winnow.experiment.store.store import DamagedStateError, Found, Store
from winnow.experiment.store.tickets import GivenFiles
from winnow.experiment.train.checkpoint import Checkpoints, check_checkpoint
from winnow.experiment.train.choosing import choose_engine
from winnow.experiment.train.halt import Halt, never
from winnow.experiment.train.job import make_job
from winnow.experiment.train.masks import Parents
from winnow.experiment.train.protocol import Answer, DamagedParentError, Order, Task, Tell
from winnow.experiment.train.sampled import with_sample
from winnow.experiment.train.seats import Seat
from winnow.experiment.train.start import method_of, starting_state
from winnow.experiment.train.train import (
    Begun,
    Ended,
    Opener,
    alone,
    begin,
    in_a_stack,
    train_together,
)
from winnow.mask import to_bytes
from winnow.state import State
from winnow.statefile import pack_state

Made = TypeVar("Made")

_TELL_EVERY = 0.1  # seconds


@dataclass(frozen=True, eq=False)
class _Taken:
    """A run taken up, and what trains it."""

    begun: Begun
    choice: Choice
    engine: Engine


def train_and_store(
    store: Store, task: Task, orders: Sequence[Order], tell: Tell, halt: Halt | None = None
) -> None:
    """Train the runs of some of a task's orders and store each.

    Raises DamagedParentError, UserError (bad data), OSError, HaltedError (``halt`` asked for it).
    """
    halt = halt or never()
    report = telling_steps(tell)
    # With what copies already record, so that the new one serves all askers.
    records = [_with_recorded(store, order) for order in orders]
    measured = max((record.measured for record in records), default=0)  # as a stack is of one kind
    taken = [
        _take_up(store, task, order, replace(record, measured=measured))
        for order, record in zip(orders, records, strict=True)
    ]
    for together, opener in _cohorts(taken):
        begun = {at: one.begun for at, one in together.items()}
        with halt.keeping():
            for at, ended in train_together(begun, opener, report, halt).items():
                _write(store, together[at], ended, task.about)
                tell(Answer("done", run=begun[at].run.id))


def _with_recorded(store: Store, order: Order) -> Record:
    copies = [found.record for found in store.copies(order.run)]
    return functools.reduce(operator.or_, copies, order.record)


def telling_steps(tell: Tell) -> Callable[[Run, int], None]:
    """Tells how far a run is: at once, then as often as a reader can see it, and at its end."""
    told: dict[str, float] = {}

    def report(run: Run, step: int) -> None:
        now = time.monotonic()
        if step == run.end or now - told.get(run.id, -_TELL_EVERY) >= _TELL_EVERY:
            told[run.id] = now
            tell(Answer("step", run=run.id, step=step - run.begin))

    return report


def _take_up(store: Store, task: Task, order: Order, record: Record) -> _Taken:
    run, path = order.run, store.checkpoint(order.run)
    job = with_sample(make_job(run), record.measured)
    drop_damaged_checkpoint(store, path)
    start = functools.cache(lambda: begun_state(store, task, run))
    seat = None if task.width is None else Seat(task.width, order.place)
    choice = choose_engine(run, job, lambda: start().mask, path, task.auto, seat)
    engine = engine_for(run, choice, task.threads)
    checkpoints = Checkpoints(path, task.checkpoint, choice.dump())
    return _Taken(begin(run, record, job, start, checkpoints), choice, engine)


def engine_for(run: Run, choice: Choice, threads: int) -> Engine:
    """What trains a run: the engine of a choice, with the method that changes the run's mask."""
    engine: Engine = engine_of(choice, threads)
    if run.dynamic is not None and (method := method_of(run)) is not None:
        return Driven(engine, method, run.dynamic.seed)
    return engine


def _cohorts(taken: Sequence[_Taken]) -> Iterator[tuple[dict[int, _Taken], Opener]]:
    """What trains together: runs of one width at one iteration, each at a place of its own.

    They differ where the group was killed between two checkpoints, or was another one when a run
    was begun; a run's numbers do not depend on who trains beside it.
    """
    waiting = list(taken)
    while waiting:
        first = waiting[0]
        together: dict[int, _Taken] = {}
        for one in waiting:
            place = one.choice.place or 0
            if one is first or (_alike(one, first) and place not in together):
                together[place] = one
        yield together, opener_of(first.engine, first.choice)
        waiting = [one for one in waiting if one not in together.values()]


def _alike(one: _Taken, other: _Taken) -> bool:
    """Whether two runs can share a stack."""
    if not (isinstance(one.engine, Stacks) and isinstance(other.engine, Stacks)):
        return False
    sides = (
        (t.choice.width, t.begun.state.step, t.begun.state.updates, set(t.begun.state.slots))
        for t in (one, other)
    )
    return next(sides) == next(sides)


def opener_of(engine: Engine, choice: Choice) -> Opener:
    """Opens the sessions of runs that an engine trains together, or by themselves."""
    return in_a_stack(engine, choice.width or 1) if isinstance(engine, Stacks) else alone(engine)


def _write(store: Store, taken: _Taken, ended: Ended, about: Mapping[str, Any]) -> None:
    result, states = ended
    run = taken.begun.run
    provenance = made_by(run, taken.engine, taken.choice, about)
    store.write(run, taken.begun.record, result, as_files(states), provenance)


def as_files(states: Mapping[str, State]) -> dict[str, bytes]:
    """States as files, by name."""
    return {
        f"{name}.safetensors": to_bytes("state", *pack_state(state))
        for name, state in states.items()
    }


def made_by(run: Run, engine: Engine, choice: Choice, about: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of what an engine has made of a run."""
    provenance = {**about, "engine": engine.name, "choice": choice.dump()}
    if run.data.size is not None:
        provenance["decoder"] = decoder()
    if choice.engine in SPARSE_CPU:
        provenance["sparse_graphs"] = SPARSE_GRAPHS
    if engine.notes:
        provenance["engine_notes"] = list(engine.notes)
    return provenance


def begun_state(store: Store, task: Task, run: Run) -> State:
    """The state at which a run begins, from its parents in the store."""
    return states_of_parents(store, task, lambda _, start: start(run))


def states_of_parents(
    store: Store, task: Task, use: Callable[[Parents, Callable[[Run], State]], Made]
) -> Made:
    """What ``use`` makes of the task's parents in the store, and of where runs begin.

    Raises DamagedParentError for one whose file is damaged, which is set aside.
    """
    records = {parent.run.id: (parent.run, parent.record) for parent in task.parents}
    used: list[Found] = []

    def parent(identity: str) -> Found:
        used.append(_stored(store, *records[identity]))
        return used[-1]

    def start(run: Run) -> State:
        return starting_state(run, parent, GivenFiles(store))

    try:
        return use(parent, start)
    except ValueError as error:
        if isinstance(error, UserError) or not used:
            raise
        folder = error.folder if isinstance(error, DamagedStateError) else used[-1].folder
        store.set_aside(folder, str(error))
        raise DamagedParentError(used[-1].run.id) from None


def _stored(store: Store, run: Run, record: Record) -> Found:
    found = store.find(run, record)
    if found is None:
        raise DamagedParentError(run.id)
    return found


def drop_damaged_checkpoint(store: Store, path: Path) -> None:
    """Set a checkpoint aside that cannot be read."""
    if path.exists():
        try:
            check_checkpoint(path)
        except ValueError as error:
            store.set_aside(path, str(error))
