"""The executor: one queue of what is missing of a plan, and a pool of workers that train it.

Resuming is asking which runs are missing. Several executors may share a store: a run that another
one trains is waited for, never trained twice. Where the engine stacks, a group of runs is one task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from winnow.engine.auto import Auto
from winnow.errors import UserError
from winnow.experiment.analyses import Analysis
from winnow.experiment.plan.groups import Group
from winnow.experiment.plan.plan import Plan, Planned
from winnow.experiment.recipe.network import keep_network_source
from winnow.experiment.store.analyses import find_analysis
from winnow.experiment.store.store import LostStoreError, Store
from winnow.experiment.store.sweep import sweep_store
from winnow.experiment.train.choosing import in_one_line, settle
from winnow.experiment.train.job import check_trainable
from winnow.experiment.train.pools import Pool
from winnow.experiment.train.pools.local import LocalPool, usable_cores
from winnow.experiment.train.protocol import Answer, DiskError, Order, Task, WorkerError
from winnow.experiment.train.ready import Needed
from winnow.experiment.train.sampling import first_run
from winnow.experiment.train.seats import stacks
from winnow.experiment.train.status import plan_status
from winnow.experiment.train.waits import Waits
from winnow.experiment.unreachable import unreachable_runs
from winnow.locks import sweep_locks

_ASK_AGAIN = 0.5  # seconds until a run that another process trains is looked at again


@dataclass(frozen=True)
class Event:
    """What an executor reports: a run ``started``, made a ``step``, or ended as ``done``,
    ``diverged`` or ``unreachable`` (a run it needs diverged); an analysis is ``made`` (``run`` is
    its identity); a ``note``, in ``text``; or ``waiting``, for another process, in ``text``.
    """

    kind: str
    run: str = ""
    step: int = 0
    text: str = ""


@dataclass(frozen=True)
class Settings:
    """How a plan is executed; nothing here changes a number.

    ``jobs``: worker processes. ``checkpoint``: seconds between checkpoints of an unfinished run.
    ``about``: provenance that is stored with each run. ``threads``: of each worker, where an engine
    uses several; None: its share of the cores, at least 1.
    """

    jobs: int
    checkpoint: float = 60.0
    about: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None


def execute(
    plan: Planned,
    store: Store,
    settings: Settings,
    tell: Callable[[Event], None] | None = None,
    pool: Callable[[int], Pool] | None = None,
) -> None:
    """Train what is missing of a plan.

    ``pool``: makes the pool, of so many workers at most; default processes on this machine. Raises
    UserError (bad data), DiskError (full, read-only), LostStoreError (it was deleted), WorkerError
    (a defect, or a worker killed twice on one run). At KeyboardInterrupt the workers keep where
    training stands in checkpoints, in some seconds at most, and end. What others left behind in the
    store when they were killed is removed first.
    """
    sweep_store(store)
    execution = _Execution(plan, store, settings, tell or (lambda _: None))
    execution.run(pool or (lambda size: LocalPool(store.path, size, execution.needed)))


@dataclass(frozen=True)
class _Queued:
    """What is trained by one task: runs of a line, at their places in its group.

    ``width``: of the stack that the group is, None where each run trains by itself.
    """

    plan: Plan
    group: Group
    runs: tuple[str, ...]
    width: int | None


class _Execution:
    """One call of `execute`: who does what, and what is still to do."""

    def __init__(
        self, plan: Planned, store: Store, settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        self.plan, self.store, self.settings, self.tell = plan, store, settings, tell
        found = plan_status(plan, store)
        self.status = dict(found.runs)
        self.busy: set[str] = set()
        self.asked: dict[str, float] = {}
        self.waits = Waits(store)
        self.deaths: dict[str, int] = {}
        self.autos: dict[str, Auto] = {}  # by line, of those with engine: auto
        self.queue: list[_Queued] = []
        self.analyses = {point.node.id: point.node for point in plan.analyses}
        self.unmade = set(found.unmade)
        self.filled: set[str] = set()  # lines whose runs are in the queue
        self.needed: list[Needed] = []  # for workers to have ready
        self.threads = 1

    def run(self, hire: Callable[[int], Pool]) -> None:
        if not self._open():
            return
        self._fill_queue()
        size = min(self.settings.jobs, len(self._open()), len(self.queue) + len(self.unmade))
        self.threads = self.settings.threads or max(1, usable_cores() // max(1, size))
        pool = hire(size)
        try:
            while self._open():
                self._assign(pool)
                self._hear_some(pool)
        except KeyboardInterrupt:
            pool.halt()
            raise
        finally:
            pool.close()
            sweep_locks(self.store.path / "locks")  # of workers that ended while they held some

    def _hear_some(self, pool: Pool) -> None:
        """Answers up to one after which there may be something to assign, or for some time."""
        while reported := pool.next_answer(_ASK_AGAIN):
            self._hear(*reported)
            if reported[1].event != "step" or pool.free:
                return

    def _open(self) -> list[str]:
        """What can still be made: missing runs, and analyses of runs that are not lost."""
        lost = ("diverged", "unreachable")
        runs = [i for i, status in self.status.items() if status == "missing"]
        return runs + [
            i
            for i in sorted(self.unmade)
            if not any(self.status[parent] in lost for parent in self.analyses[i].parents)
        ]

    def _fill_queue(self) -> None:
        """Queue lines that have something to train; the first of several trains what they share.

        All runs of such a line, as one that is stored may turn out to be damaged.
        """
        shared: set[str] = set()
        for plan in self.plan.plans:
            own = set(plan.runs) - shared
            shared |= own
            if plan.line not in self.filled and any(self.status[i] == "missing" for i in own):
                self.filled.add(plan.line)
                self._prepare(plan)
                self.queue += self._queued(plan, own)

    def _prepare(self, plan: Plan) -> None:
        """What is to be made once for all workers: a calibration, and a note of what they need.
        UserError where a network's package is not here.
        """
        run = first_run(plan)
        check_trainable(run)
        keep_network_source(run.model)
        if plan.recipe.engine != "auto":
            self.needed.append(Needed(plan.recipe.engine, run))
            return
        auto = settle(plan, self.store, lambda text: self.tell(Event("note", text=text)))
        self.autos[plan.line] = auto
        if auto.calibration is not None:
            self.needed.append(Needed("sparse", run))
        note = in_one_line(plan, self.store, auto)
        self.tell(Event("note", text=f"{plan.line}: {note}" if plan.line else note))

    def _queued(self, plan: Plan, own: set[str]) -> list[_Queued]:
        """What is trained by one task each: what stacks together, else every run by itself."""
        stacking = stacks(plan, self.autos.get(plan.line))
        groups = plan.groups if stacking else tuple(Group((identity,)) for identity in plan.runs)
        queued = []
        for group in groups:
            runs = tuple(i for i in group.runs if i in own)
            if runs:
                queued.append(_Queued(plan, group, runs, group.width if stacking else None))
        return queued

    def _assign(self, pool: Pool) -> None:
        """Give free workers the first groups that can begin."""
        for queued in self.queue:
            if not pool.free:
                return
            if ready := self._ready(queued):
                pool.start(self._task(queued, ready))
                self.busy.update(ready)
                for identity in ready:
                    self.tell(Event("started", identity))
        self._assign_analyses(pool)

    def _assign_analyses(self, pool: Pool) -> None:
        """Give workers that are still free the analyses of runs that have ended."""
        now = time.monotonic()
        for identity, analysis in self.analyses.items():
            if not pool.free:
                return
            waits = identity in self.busy or self.asked.get(identity, 0) > now
            ended = all(self.status[parent] == "done" for parent in analysis.parents)
            if identity in self.unmade and ended and not waits:
                pool.start(self._measuring(analysis))
                self.busy.add(identity)

    def _measuring(self, analysis: Analysis) -> Task:
        """The task of an analysis: its runs, and those that they begin from."""
        needed = dict.fromkeys(analysis.parents)
        needed |= dict.fromkeys(p for i in analysis.parents for p in self.plan.runs[i].parents)
        return Task(
            (), tuple(map(self._order, needed)), about=self.settings.about, analysis=analysis
        )

    def _ready(self, queued: _Queued) -> list[str]:
        """The runs of a group that are missing, once the parents of all of them are done."""
        missing = [i for i in queued.runs if self.status[i] == "missing"]
        if any(i in self.busy for i in missing):
            return []
        if any(self.status[p] != "done" for i in missing for p in self.plan.runs[i].parents):
            return []
        now = time.monotonic()
        return [i for i in missing if self.asked.get(i, 0) <= now]

    def _task(self, queued: _Queued, identities: list[str]) -> Task:
        runs, auto = self.plan.runs, self.autos.get(queued.plan.line)
        parents = dict.fromkeys(parent for i in identities for parent in runs[i].parents)
        return Task(
            tuple(self._order(i, queued.group.runs.index(i)) for i in identities),
            tuple(map(self._order, parents)),
            self.settings.checkpoint,
            {**self.settings.about, "recipe": queued.plan.recipe.dump()},
            auto.dump() if auto else None,
            queued.width,
            threads=self.threads,
        )

    def _order(self, identity: str, place: int = 0) -> Order:
        return Order(self.plan.runs[identity], self.plan.records[identity], place)

    def _hear(self, task: Task, answer: Answer) -> None:
        if answer.ends_the_task:
            self.busy.difference_update(task.works)
        match answer.event:
            case "step":
                self.tell(Event("step", answer.run, answer.step))
            case "done":
                self._ended(answer.run)
            case "busy":
                self._wait_for(answer.run)
            case "damaged":
                self.status[answer.run] = "missing"
                self._fill_queue()
            case "failed":
                _fail(answer, task.folder)
            case "died":
                self._mourn(task, answer)

    def _ended(self, identity: str) -> None:
        if identity in self.analyses:
            self._made(identity)
            return
        found = self.store.find(self.plan.runs[identity], self.plan.records[identity])
        if found is None:
            name = self.plan.runs[identity].folder
            raise LostStoreError(self.store.path, f"{name} was finished and is not there any more")
        self.status[identity] = found.result.status
        self.tell(Event(found.result.status, identity))
        if found.result.status == "diverged":
            self._cut_off()

    def _made(self, analysis: str) -> None:
        self.unmade.discard(analysis)
        self.tell(Event("made", analysis))

    def _wait_for(self, identity: str) -> None:
        """Another process trains a run, or has just ended it."""
        self.asked[identity] = time.monotonic() + _ASK_AGAIN
        if node := self.analyses.get(identity):
            if find_analysis(self.store, node.folder, identity):
                self._made(identity)
                return
        elif self.store.find(self.plan.runs[identity], self.plan.records[identity]):
            self._ended(identity)
            return
        name = (node or self.plan.runs[identity]).folder
        if text := self.waits.told_of(identity, name):
            self.tell(Event("waiting", identity, text=text))

    def _cut_off(self) -> None:
        """Runs that need a diverged one can never be made."""
        ended = {i: s for i, s in self.status.items() if s in ("done", "diverged")}
        lost = unreachable_runs(_parents(self.plan), ended)
        for identity in [i for i in self.plan.runs if i in lost and self.status[i] == "missing"]:
            self.status[identity] = "unreachable"
            self.tell(Event("unreachable", identity))

    def _mourn(self, task: Task, answer: Answer) -> None:
        """A worker died: what it did is tried once more."""
        for work in task.works:
            died = self.deaths[work] = self.deaths.get(work, 0) + 1
            if died > 1:
                raise WorkerError(
                    f"the worker of {task.folder} ended with {answer.error} twice "
                    "(killed, out of memory?); run the command again to continue"
                )


def _parents(plan: Planned) -> dict[str, tuple[str, ...]]:
    return {identity: run.parents for identity, run in plan.runs.items()}


def _fail(answer: Answer, folder: str) -> None:
    if answer.fault == "user":
        raise UserError(answer.error)
    if answer.fault == "disk":
        raise DiskError(answer.error)
    raise WorkerError(f"run {folder} failed:\n{answer.error}")
