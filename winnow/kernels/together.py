"""Compiling a list of kernels in several processes: what this one does, and what it asks of others.

The others are `winnow.kernels.helper`. They write nothing to disk, so that there is nothing to
clear up after one that is killed. A kernel that they cannot give is compiled in this process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from winnow.kernels.compile import EntryPoint

_MOST = 8  # processes: each takes some 300 MB
_EACH = 4  # kernels at least for each process: it takes a second to start, as long as a few of them
LENGTH = 8  # bytes of a number before those that it counts


def cores() -> int:
    """How many cores this process may use; kernels import nothing of the project to ask."""
    with contextlib.suppress(AttributeError):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SharedList:
    """A list of kernels from which processes take one after the other, until none is left.

    ``made``: name → the file of a kernel that another process compiled. Leaving the context ends
    the other processes, whatever they are doing. They find kernels of this package only.
    """

    def __init__(
        self, entries: Sequence[EntryPoint], key: str, processes: int | None = None
    ) -> None:
        """``key``: what compiled code depends on; a process where that differs is not asked.

        ``processes``: this one among them; default one for each core, as far as there is work.
        Chains of linear layers have one large kernel and a small one: those compile here.
        """
        ours = [e for e in entries if e.kernel.__module__.startswith("winnow.")]
        self.made: dict[str, bytes] = {}
        self._waiting, self._key = deque(ours), key
        self._returned = deque(e for e in entries if e not in ours)
        self._helpers: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        for _ in range((processes or min(cores(), len(ours) // _EACH, _MOST)) - 1):
            self._start()

    def _start(self) -> None:
        command = [sys.executable or "python", "-m", "winnow.kernels.helper"]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        try:
            helper = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
        except OSError:  # no processes here: this one compiles all
            return
        self._helpers.append(helper)
        thread = threading.Thread(target=self._serve, args=(helper,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> SharedList:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for helper in self._helpers:
            helper.kill()
        for helper, thread in zip(self._helpers, self._threads, strict=True):
            thread.join()
            helper.communicate()

    def take(self) -> EntryPoint | None:
        """A kernel to compile here; None when all are compiled, here or elsewhere."""
        with contextlib.suppress(IndexError):
            return self._waiting.popleft()
        for thread in self._threads:
            thread.join()
        return self._returned.popleft() if self._returned else None

    def _serve(self, helper: Any) -> None:
        """Have a process compile what is waiting, as long as it answers."""
        entry: EntryPoint | None = None
        try:
            if _answer(helper) != self._key.encode():
                return
            while True:
                entry = self._waiting.popleft()
                helper.stdin.write(f"{entry.kernel.__module__} {entry.name}\n".encode())
                helper.stdin.flush()
                self.made[entry.name] = _answer(helper)
                entry = None
        except IndexError:  # nothing is left
            return
        except (OSError, EOFError):  # it ended, or cannot compile this
            if entry is not None:
                self._returned.append(entry)


def _answer(helper: Any) -> bytes:
    """What a process says next, all of it. Raises EOFError."""
    count = int.from_bytes(_read(helper, LENGTH), "big")
    return _read(helper, count)


def _read(helper: Any, count: int) -> bytes:
    data: bytes = helper.stdout.read(count)
    if len(data) < count:
        raise EOFError
    return data
