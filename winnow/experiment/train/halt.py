"""Halting a worker: what it trains is kept in a checkpoint, and it ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class HaltedError(Exception):
    """A training was left because it was to halt; its checkpoint says where it stands."""


class Halt:
    """Whether a worker is to halt, which another thread or a signal asks for."""

    def __init__(self, end: Callable[[], object]) -> None:
        """``end``: ends the worker at once."""
        self._end = end
        self._asked = threading.Event()
        self._keeping = False

    @property
    def asked(self) -> bool:
        """Whether it is to halt as soon as what it trains is kept."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Halt now where nothing is lost by it, else as soon as that is kept."""
        self._asked.set()
        if not self._keeping:
            self._end()

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Within, there is something to keep: who trains looks at ``asked``. Ends in the end of the
        worker if it was asked for meanwhile.
        """
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            if self._asked.is_set():
                self._end()


def never() -> Halt:
    """Of those who train in a process of their own."""
    return Halt(lambda: None)
