"""A pool whose worker is this process: tasks are served when they are started."""

from __future__ import annotations

from collections import deque

from winnow.experiment.train.protocol import Answer, Task
from winnow.experiment.train.worker import serve


class InlinePool:
    """One worker. ``tasks``: all that were started, as the worker read them."""

    def __init__(self, store, tasks):
        self.store, self.tasks = store, tasks
        self.answers: deque[tuple[Task, Answer]] = deque()

    @property
    def free(self):
        return 0 if self.answers else 1

    def start(self, task):
        read = Task.load(task.dump())
        assert read == task
        self.tasks.append(read)
        serve(self.store, read, lambda answer: self.answers.append((task, answer)))

    def next_answer(self, seconds):  # noqa: ARG002
        return self.answers.popleft() if self.answers else None

    def halt(self):
        """What it trains is trained within `start`."""

    def close(self):
        self.answers.clear()
