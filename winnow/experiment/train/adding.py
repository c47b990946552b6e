"""Recording more of finished runs: by what is stored where it suffices, beside what is stored.

A run that is stored with less than is asked for goes on from its stored states, with what trained
it, and what it lacked is added to its folder. It is trained as a whole only where that cannot give
its bits: another machine, another version.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from winnow.data.image_files import decoder
from winnow.engine.auto import Choice, explicit, honoured
from winnow.engine.base import Engine, Metrics, Stacks
from winnow.experiment.runs import SPARSE_GRAPHS, Run
from winnow.experiment.store.additions import write_addition
from winnow.experiment.store.lacking import BEGIN, END, Leg, least_lacking
from winnow.experiment.store.store import DamagedStateError, Found, Store
from winnow.experiment.train.again import Again, Continued, addition_of, searched_stop
from winnow.experiment.train.checkpoint import (
    Checkpoints,
    Progress,
    read_checkpoint,
    recorded_in,
)
from winnow.experiment.train.halt import Halt, never
from winnow.experiment.train.job import make_job
from winnow.experiment.train.protocol import Answer, DamagedParentError, Order, Task, Tell
from winnow.experiment.train.sampled import with_sample
from winnow.experiment.train.start import job_from
from winnow.experiment.train.tasks import (
    as_files,
    begun_state,
    drop_damaged_checkpoint,
    engine_for,
    made_by,
    opener_of,
    telling_steps,
)
from winnow.experiment.train.train import Opener, advance
from winnow.experiment.train.trainee import without_slots
from winnow.state import State


@dataclass(eq=False)
class _Going:
    """A stored run that more is recorded of: what trains it, the legs left, what was seen."""

    asked: Continued
    choice: Choice
    engine: Engine
    legs: tuple[Leg, ...]
    progress: Progress
    checkpoints: Checkpoints
    start: Callable[[Leg], State]
    differs: bool = False
    stop: Metrics | None = None

    @property
    def kind(self) -> Hashable:
        """What those have in common that can go on as one stack."""
        if not isinstance(self.engine, Stacks):
            return id(self)
        return self.choice.width, self.legs, self.asked.lacks.record.measured


def add_and_store(
    store: Store, task: Task, orders: Sequence[Order], tell: Tell, halt: Halt | None = None
) -> list[Order]:
    """Record what finished runs among some of a task's orders lack; the orders that are left.

    Left are those that are not stored, and those whose bits cannot be had again here, which is said
    on standard error. Raises DamagedParentError, UserError (bad data), OSError, HaltedError
    (``halt`` asked for it).
    """
    halt, report = halt or never(), telling_steps(tell)
    left: list[Order] = []
    going: dict[str, _Going] = {}
    for order in orders:
        one = _take_up(store, task, order)
        if isinstance(one, _Going):
            going[order.run.id] = one
            continue
        left.append(order)
        _say(order.run, one)
    for together in _stacks(list(going.values())):
        with halt.keeping():
            _go(together, report, halt)
            for one in together.values():
                if not one.differs:
                    _write(task, one)
                    tell(Answer("done", run=one.asked.run.id))
                one.checkpoints.path.unlink(missing_ok=True)
    differ = [o for o in orders if o.run.id in going and going[o.run.id].differs]
    for order in differ:
        _say(order.run, "it does not come out the same here as it was stored")
    return [*left, *differ]


def _say(run: Run, why: str) -> None:
    if why:
        told = f"note: {run.folder} is trained again as a whole to record more of it: {why}"
        print(told, file=sys.stderr)


def _take_up(store: Store, task: Task, order: Order) -> _Going | str:
    """The finished run of an order, on its way once more; else why not, empty if not stored."""
    side = least_lacking(store.copies(order.run), order.record)
    if side is None:
        return ""
    found, lacks = side
    run = order.run
    store.clear_additions(found)
    job = with_sample(make_job(run), lacks.record.measured)
    choice = _choice_of(found)
    if isinstance(choice, str):
        return choice
    if honoured(choice, job) != choice:
        return honoured(choice, job).note
    path = store.added_checkpoint(run)
    checkpoints = Checkpoints(path, task.checkpoint, choice.dump())
    drop_damaged_checkpoint(store, path)
    begun = None
    if path.exists() and recorded_in(path) == lacks.record:
        begun = read_checkpoint(checkpoints, lacks.record)

    def start(leg: Leg) -> State:
        if begun is not None and leg.source == _NOW:
            return begun[0]
        return _state_of(store, task, found, leg)

    legs, progress = lacks.legs, Progress()
    if begun is not None:
        progress = begun[1]
        legs = tuple(_left(legs, progress, begun[0].step))
    engine = engine_for(run, choice, task.threads)
    asked = Continued(found, lacks, job)
    return _Going(asked, choice, engine, legs, progress, checkpoints, start)


_NOW = "now"  # the source of a leg that goes on from its checkpoint


def _left(legs: Sequence[Leg], progress: Progress, now: int) -> Iterator[Leg]:
    """What is left of legs, where the one that was on its way stood at iteration ``now``."""
    looked = set(progress.curve.get("looked", ()))
    for leg in legs:
        looks = tuple(step for step in leg.looks if step not in looked)
        if not looks:
            continue
        if leg.begin <= now <= looks[0]:
            yield Leg(_NOW, now, looks)
        else:
            yield replace(leg, looks=looks)


def _choice_of(found: Found) -> Choice | str:
    """What trained a stored run, or why it can not be what trains it here."""
    made = found.provenance
    here = {
        "torch": str(torch.__version__),
        "decoder": decoder() if found.run.data.size is not None else None,
    }
    for name, version in here.items():
        if version is not None and made.get(name, version) != version:
            return f"it was made with {name} {made[name]}, and here is {version}"
    if plain := made.get("choice"):
        choice = Choice.load(plain)
    elif made.get("engine", "dense") == "dense":  # before choices were kept
        choice = explicit("dense")
    else:
        return f"what the engine {made['engine']} was like is not stored with it"
    if choice.engine == "sparse" and made.get("sparse_graphs", SPARSE_GRAPHS) != SPARSE_GRAPHS:
        return "the sparse engine adds up in another order today"
    return choice


def _state_of(store: Store, task: Task, found: Found, leg: Leg) -> State:
    """The state that a leg starts from. DamagedParentError where its file is damaged, which is set
    aside.
    """
    if leg.source == BEGIN:
        return begun_state(store, task, found.run)
    try:
        state = found.state(leg.source)
    except DamagedStateError as error:
        store.set_aside(error.folder, str(error))
        raise DamagedParentError(found.run.id) from None
    return replace(without_slots(state), step=0) if leg.source == END else state


def _stacks(going: list[_Going]) -> Iterator[dict[int, _Going]]:
    """What goes on together, by its places."""
    while going:
        together: dict[int, _Going] = {}
        for one in going:
            place = one.choice.place or 0
            if one.kind == going[0].kind and place not in together:
                together[place] = one
        yield together
        going = [one for one in going if one not in together.values()]


def _go(together: Mapping[int, _Going], report: Callable[[Run, int], None], halt: Halt) -> None:
    """Train the legs of runs that go on together, and look."""
    first = next(iter(together.values()))
    opener = opener_of(first.engine, first.choice)
    live = dict(together)
    for number, leg in enumerate(first.legs):
        states = {at: one.start(one.legs[number]) for at, one in live.items()}
        jobs = {at: job_from(one.asked.run, one.asked.job, states[at]) for at, one in live.items()}
        asked = {at: replace(one.asked, job=jobs[at]) for at, one in live.items()}
        sessions = opener(jobs, states)
        again = {
            at: Again(asked[at], leg, sessions[at], one.progress, one.checkpoints)
            for at, one in live.items()
        }
        advance(list(again.values()), leg.begin, report, halt)
        for at, one in list(live.items()):
            one.differs = again[at].differs or (leg.iterations > 0 and _is_made_otherwise(one))
            if one.differs or again[at].diverged_at is not None:
                del live[at]
        if not live:
            break
    _evaluate_searched({at: one for at, one in together.items() if not one.differs}, opener)


def _evaluate_searched(going: Mapping[int, _Going], opener: Opener) -> None:
    """Measure the networks that searches had at their stops, each in a session of its own."""
    stops = {at: searched_stop(one.asked, one.progress) for at, one in going.items()}
    states = {at: replace(state, step=0) for at, state in stops.items() if state is not None}
    if not states:
        return
    sessions = opener({at: going[at].asked.job for at in states}, states)
    for at, session in sessions.items():
        going[at].stop = session.evaluate(going[at].asked.training_split)


def _is_made_otherwise(one: _Going) -> bool:
    """Whether the engine has to do here what it did not do there, e.g. without a compiler."""
    stored = set(one.asked.found.provenance.get("engine_notes", ()))
    here = set(one.engine.notes)
    return not here <= stored or bool(here) != bool(stored)


def _write(task: Task, one: _Going) -> None:
    addition, states = addition_of(one.asked, one.progress, one.stop)
    about = made_by(one.asked.run, one.engine, one.choice, task.about)
    about["seconds"] = round(one.progress.seconds, 3)
    found = one.asked.found
    write_addition(found.folder, found.run.id, addition, as_files(states), about)
