"""The local executor: what is missing of a plan, trained by one-thread worker processes.

Resuming is asking which runs are missing. Several executors may share a store: a run that another
one trains is waited for, never trained twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from winnow import engine
from winnow.engine.auto import Auto
from winnow.errors import UserError
from winnow.experiment.plan.plan import Plan
from winnow.experiment.runs import Run
from winnow.experiment.store.store import Store
from winnow.experiment.train.choosing import in_one_line, sample, settle

_ASK_AGAIN = 0.5  # seconds until a run that another process trains is looked at again
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class WorkerError(RuntimeError):
    """A worker could not finish a run, for a reason that is not the user's input."""


class DiskError(OSError):
    """The store takes no more files; what is finished stays, running again continues."""


@dataclass(frozen=True)
class Event:
    """What an executor tells: a run ``started``, made a ``step``, or ended as ``done``,
    ``diverged`` or ``unreachable`` (a run it needs diverged); or a ``note``, in ``text``."""

    kind: str
    run: str = ""
    step: int = 0
    text: str = ""


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    run: str | None = None
    hearing: threading.Thread | None = None

    def close(self) -> int:
        """Wait for the end of the process, free its pipes; gives its exit code."""
        code = self.process.wait()
        if self.hearing:
            self.hearing.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not sent has no reader any more
                pipe.close()  # type: ignore[union-attr]
        return code


@dataclass(frozen=True)
class Settings:
    """How a plan is executed; nothing here changes a number.

    ``jobs``: worker processes. ``checkpoint``: seconds between checkpoints of an unfinished run.
    ``about``: provenance that is stored with each run.
    """

    jobs: int
    checkpoint: float = 60.0
    about: Mapping[str, Any] = field(default_factory=dict)


def status_of(plan: Plan, store: Store) -> dict[str, str]:
    """Identity → ``done``, ``diverged``, ``unreachable`` or ``missing``, for each run of a plan."""
    status: dict[str, str] = {}
    for identity, run in plan.runs.items():
        found = store.find(run, plan.records[identity])
        if found is not None:
            status[identity] = found.result.status
        elif any(status[p] in ("diverged", "unreachable") for p in run.parents):
            status[identity] = "unreachable"
        else:
            status[identity] = "missing"
    return status


def execute(
    plan: Plan, store: Store, settings: Settings, tell: Callable[[Event], None] | None = None
) -> None:
    """Train what is missing of a plan.

    Raises UserError (bad data), DiskError (full, read-only), WorkerError (a defect, or a worker
    killed twice on one run). KeyboardInterrupt ends the workers at once; all that is finished, and
    every checkpoint, stays.
    """
    _Execution(plan, store, settings, tell or (lambda _: None)).run()


class _Execution:
    """One call of `execute`: who does what, and what is still to do."""

    def __init__(
        self, plan: Plan, store: Store, settings: Settings, tell: Callable[[Event], None]
    ) -> None:
        self.plan, self.store, self.settings, self.tell = plan, store, settings, tell
        self.status = status_of(plan, store)
        self.asked: dict[str, float] = {}
        self.deaths: dict[str, int] = {}
        self.answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self.workers: list[_Worker] = []
        self.auto: Auto | None = None

    def run(self) -> None:
        missing = sum(status == "missing" for status in self.status.values())
        if missing:
            self._prepare()
        try:
            for _ in range(min(self.settings.jobs, missing)):
                self._hire()
            while "missing" in self.status.values():
                self._assign()
                self._listen()
        finally:
            self._dismiss()

    def _prepare(self) -> None:
        """What is to be made once for all workers: compiled kernels, a calibration."""
        if self.plan.recipe.engine != "auto":
            engine.make_engine(self.plan.recipe.engine).prepare(sample(self.plan))
            return
        self.auto = settle(self.plan, self.store, lambda text: self.tell(Event("note", text=text)))
        self.tell(Event("note", text=in_one_line(self.plan, self.store, self.auto)))

    def _hire(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "winnow.experiment.train.worker", str(self.store.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | _ONE_THREAD,
        )
        worker = _Worker(process)
        self.workers.append(worker)
        worker.hearing = threading.Thread(target=self._hear, args=(worker,), daemon=True)
        worker.hearing.start()

    def _hear(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self.answers.put((worker, json.loads(line)))
        self.answers.put((worker, None))

    def _assign(self) -> None:
        """Give every idle worker the first run that can begin."""
        for worker in [w for w in self.workers if w.run is None]:
            ready = self._next_ready()
            if ready is None:
                return
            self._send(worker, ready)

    def _next_ready(self) -> str | None:
        busy = {worker.run for worker in self.workers}
        now = time.monotonic()
        for identity, run in self.plan.runs.items():
            if (
                self.status[identity] == "missing"
                and identity not in busy
                and self.asked.get(identity, 0) <= now
                and all(self.status[parent] == "done" for parent in run.parents)
            ):
                return identity
        return None

    def _send(self, worker: _Worker, identity: str) -> None:
        run = self.plan.runs[identity]
        parents = {p: self.plan.runs[p] for p in run.parents}
        task = {
            "run": asdict(run),
            "record": self.plan.records[identity].dump(),
            "parents": {p: asdict(parent) for p, parent in parents.items()},
            "parent_records": {p: self.plan.records[p].dump() for p in parents},
            "checkpoint": self.settings.checkpoint,
            "about": dict(self.settings.about),
            "auto": self.auto.dump() if self.auto else None,
        }
        worker.run = identity
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(task) + "\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            return  # it died; its closed output says so
        self.tell(Event("started", identity))

    def _listen(self) -> None:
        """Take one answer, or find after a while that there is none."""
        try:
            worker, answer = self.answers.get(timeout=_ASK_AGAIN)
        except queue.Empty:
            return
        if answer is None:
            self._bury(worker)
        elif answer["event"] == "step":
            if worker.run:
                self.tell(Event("step", worker.run, answer["step"]))
        elif answer["event"] != "ready":
            identity, worker.run = worker.run, None
            assert identity is not None
            self._ended(identity, answer)

    def _ended(self, identity: str, answer: Mapping[str, Any]) -> None:
        match answer["event"]:
            case "done":
                self._found(identity)
            case "busy":
                self.asked[identity] = time.monotonic() + _ASK_AGAIN
                if self.store.find(self.plan.runs[identity], self.plan.records[identity]):
                    self._found(identity)
            case "damaged":
                self.status[answer["run"]] = "missing"
            case "failed":
                _fail(answer, self.plan.runs[identity])

    def _found(self, identity: str) -> None:
        found = self.store.find(self.plan.runs[identity], self.plan.records[identity])
        assert found is not None, "a worker says done, and the store has no such run"
        self.status[identity] = found.result.status
        self.tell(Event(found.result.status, identity))
        if found.result.status == "diverged":
            self._cut_off()

    def _cut_off(self) -> None:
        """Runs that need a diverged one can never be made."""
        for identity, run in self.plan.runs.items():
            lost = any(self.status[p] in ("diverged", "unreachable") for p in run.parents)
            if self.status[identity] == "missing" and lost:
                self.status[identity] = "unreachable"
                self.tell(Event("unreachable", identity))

    def _bury(self, worker: _Worker) -> None:
        """A worker died: try its run once more with a new one."""
        code = worker.close()
        self.workers.remove(worker)
        if worker.run is not None:
            self.deaths[worker.run] = self.deaths.get(worker.run, 0) + 1
            if self.deaths[worker.run] > 1:
                raise WorkerError(
                    f"the worker of run {self.plan.runs[worker.run].folder} ended with {code} "
                    "twice (killed, out of memory?); run the command again to continue"
                )
        elif not self.workers:
            raise WorkerError(f"no worker could start (exit code {code}); see its messages above")
        self._hire()

    def _dismiss(self) -> None:
        """End the workers at once: what they have written is whole."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.close()


def _fail(answer: Mapping[str, Any], run: Run) -> None:
    if answer["kind"] == "user":
        raise UserError(answer["error"])
    if answer["kind"] == "disk":
        raise DiskError(answer["error"])
    raise WorkerError(f"run {run.folder} failed:\n{answer['error']}")
