"""Pools: who trains an executor's tasks. `local` has worker processes on this machine."""

from __future__ import annotations

from typing import Protocol

from winnow.experiment.train.protocol import Answer, Task


class Pool(Protocol):
    """Some workers."""

    @property
    def free(self) -> int:
        """How many more tasks could be started now."""
        ...

    def start(self, task: Task) -> None:
        """Give a task to a free worker."""
        ...

    def next_answer(self, seconds: float) -> tuple[Task, Answer] | None:
        """The next answer to a task; None when there is none for so long.

        Raises WorkerError: no worker can work.
        """
        ...

    def halt(self) -> None:
        """Have the workers keep where their training stands; gives them some seconds for it."""
        ...

    def close(self) -> None:
        """End the workers at once: what they have written is whole."""
        ...
