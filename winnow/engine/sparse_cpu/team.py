"""A team of threads: tasks that run at once, each a call of kernels, which hold no lock of Python.

Which thread runs which task is left to chance, so a task writes where no other task reads or
writes, and what it sums must be fixed by the shape alone: then bits do not depend on the team.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from winnow.engine.sparse_cpu.denormals import denormals_are_zero, take_denormals_as_zero

TeamTask = Callable[[], object]


class Team:
    """``threads`` threads, the calling one among them; with 1 there is no other, and no cost.

    The others begin with the first `run` and end with the team. A copy of it in a forked process
    begins its own.
    """

    def __init__(self, threads: int = 1) -> None:
        assert threads >= 1, "somebody has to work"
        self.threads = threads
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._process = -1
        self._end: Callable[[], object] | None = None

    def run(self, tasks: Sequence[TeamTask]) -> None:
        """Run all tasks and return when they are done; one thread at a time may ask for it.

        What a task raises is raised here, that of the first task of several that did; tasks that
        nobody has begun by then are left out.
        """
        helpers = min(self.threads, len(tasks)) - 1
        if helpers < 1:
            for task in tasks:
                task()
            return
        if self._process != os.getpid():
            self._begin()
        call = _Call(tasks)
        for _ in range(helpers):
            self._calls.put(call)
        call.finish(call.work())

    def close(self) -> None:
        """End the threads; another `run` begins new ones."""
        if self._end is not None:
            self._end()
        self._process = -1

    def _begin(self) -> None:
        self._calls, self._process = SimpleQueue(), os.getpid()
        for _ in range(self.threads - 1):
            threading.Thread(target=_serve, args=(self._calls,), daemon=True).start()
        self._end = weakref.finalize(self, _dismiss, self._calls, self.threads - 1)


class _Call:
    """The tasks of one `run`: every thread that comes takes the next one until there is none."""

    def __init__(self, tasks: Sequence[TeamTask]) -> None:
        self.tasks, self.count = tasks, len(tasks)
        self.numbers = itertools.count()  # a call of next is one step for all threads
        self.ended: SimpleQueue[int] = SimpleQueue()
        self.raised: dict[int, BaseException] = {}
        self.zero = denormals_are_zero()  # or bits would depend on who takes a task

    def help(self) -> None:
        """Work as another thread, and say of each task that it has ended."""
        take_denormals_as_zero(self.zero)
        while (number := next(self.numbers)) < self.count:
            self._do(number)
            self.ended.put(number)

    def work(self) -> int:
        """Work as the calling thread. How many tasks the others have begun."""
        own = 0
        while (number := next(self.numbers)) < self.count:
            self._do(number)
            own += 1
        return self.count - own

    def finish(self, others: int) -> None:
        """Wait for the tasks that others have begun. Threads that never came are not missed."""
        for _ in range(others):
            self.ended.get()
        if self.raised:
            raise self.raised[min(self.raised)]

    def _do(self, number: int) -> None:
        if self.raised:
            return
        try:
            self.tasks[number]()
        except BaseException as error:  # the calling thread raises it
            self.raised[number] = error


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        call.help()
        del call  # or its arrays would live until the next one


def _dismiss(calls: SimpleQueue[_Call | None], count: int) -> None:
    for _ in range(count):
        calls.put(None)
