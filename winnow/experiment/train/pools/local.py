"""Worker processes on this machine, asked and answering through pipes.

On Linux one process imports what they need and forks them; elsewhere each is a program of its own.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from winnow.data.image_files import READERS
from winnow.experiment.train.pools import forking
from winnow.experiment.train.pools.forking import Forked, ForkServer
from winnow.experiment.train.protocol import HALT, Answer, Task, WorkerError
from winnow.experiment.train.ready import Needed, make_ready
from winnow.locks import environment_for_workers

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_TO_HALT = 8.0  # seconds: who sends SIGTERM often sends SIGKILL ten seconds later


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class _Worker:
    process: subprocess.Popen[str] | Forked
    task: Task | None = None
    hearing: threading.Thread | None = None

    @property
    def is_free(self) -> bool:
        """Whether it waits for a task; not where it has died and that is not yet heard."""
        return self.task is None and self.process.poll() is None

    def close(self) -> int:
        """Wait for the end of the process, free its pipes; gives its exit code."""
        code = self.process.wait()
        if self.hearing:
            self.hearing.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not sent has no reader any more
                pipe.close()  # type: ignore[union-attr]
        return code


class LocalPool:
    """Workers that live until the pool is closed; one that dies at work is replaced."""

    def __init__(self, store: Path, size: int, needed: Sequence[Needed] = ()) -> None:
        """``size``: how many there are. They share the cores for the reading of image files.

        ``needed``: engines with runs that they will train, for which kernels are made or loaded
        before the first worker begins. Raises WorkerError: no worker can start.
        """
        self.store = store
        each = max(1, usable_cores() // max(1, size))
        told = _ONE_THREAD | environment_for_workers()
        self.environment = {READERS: str(each)} | os.environ | told
        self.answers: queue.Queue[tuple[_Worker, Answer | None]] = queue.Queue()
        self.workers: list[_Worker] = []
        self.server: ForkServer | None = None
        self.needed = needed
        try:
            for _ in range(size):
                self._hire()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """How many more tasks could be started now."""
        return sum(worker.is_free for worker in self.workers)

    def start(self, task: Task) -> None:
        """Give a task to a free worker."""
        worker = next(worker for worker in self.workers if worker.is_free)
        worker.task = task
        assert worker.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; its closed output says so
            worker.process.stdin.write(json.dumps(task.dump()) + "\n")
            worker.process.stdin.flush()

    def next_answer(self, seconds: float) -> tuple[Task, Answer] | None:
        """The next answer to a task; None when there is none for so long.

        Raises WorkerError: no worker can start.
        """
        try:
            worker, answer = self.answers.get(timeout=seconds)
        except queue.Empty:
            return None
        task = worker.task
        if answer is None:
            answer = Answer("died", error=str(self._bury(worker)))
        if answer.ends_the_task:
            worker.task = None
        return None if task is None else (task, answer)

    def halt(self) -> None:
        """Have the workers keep where their training stands, and wait until they have, some
        seconds at most.
        """
        for worker in self.workers:
            with contextlib.suppress(OSError, ValueError):  # it is gone already
                worker.process.stdin.write(HALT)  # type: ignore[union-attr]
                worker.process.stdin.flush()  # type: ignore[union-attr]
        end, working = time.monotonic() + _TO_HALT, len(self.workers)
        while working and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                _, answer = self.answers.get(timeout=left)
                working -= answer is None

    def close(self) -> None:
        """End the workers at once: what they have written is whole."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.close()
        self.workers = []
        if self.server:
            self.server.close()
            self.server = None

    def _hire(self) -> None:
        worker = _Worker(self._forked() if forking.FORKS else self._started())
        self.workers.append(worker)
        worker.hearing = threading.Thread(target=self._hear, args=(worker,), daemon=True)
        worker.hearing.start()

    def _forked(self) -> Forked:
        if self.server and self.server.process.poll() is not None:  # somebody killed it
            self.server.close()
            self.server = None
        if self.server is None:
            self.server = ForkServer(self.store, self.environment, self.needed)
        return self.server.hire()

    def _started(self) -> subprocess.Popen[str]:
        if not self.workers:
            make_ready(self.needed)
        return subprocess.Popen(
            [sys.executable, "-m", "winnow.experiment.train.worker", str(self.store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def _hear(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self.answers.put((worker, Answer.load(json.loads(line))))
        self.answers.put((worker, None))

    def _bury(self, worker: _Worker) -> int:
        """Replace a worker that died of its task; gives its exit code."""
        code = worker.close()
        self.workers.remove(worker)
        if worker.task is not None:
            self._hire()
        elif not self.workers:
            raise WorkerError(f"no worker could start (exit code {code}); see its messages above")
        return code
