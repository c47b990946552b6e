"""Signals that end a command: Ctrl-C, SIGTERM and SIGHUP, each with a sentence and its exit code.

The first asks: what trains is kept in checkpoints, and the command says how to go on. The second
ends it at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SAME = 0.2  # seconds within which a second signal is the first one sent on by some wrapper
_AT_LAST = 25.0  # seconds after which a command that cannot stop by itself is ended
_SOON = 0.05  # seconds until it is looked again whether an import is over
_LATER = getattr(signal, "SIGALRM", None)  # Windows has none
_KEEPS = ("run", "find", "explain", "enter")  # what trains


class StoppedError(KeyboardInterrupt):
    """A signal asked this command to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class ToldExit(SystemExit):
    """The end of a command that has said that it was stopped."""


class Stopping:
    """What signals have asked of this command: ``number`` is the first one's, 0 for none."""

    def __init__(self) -> None:
        self.number = 0
        self.over = threading.Event()
        self._when: float | None = None

    @property
    def code(self) -> int:
        """The exit code of a command that a signal ended."""
        return 128 + (self.number or signal.SIGINT)

    def heard(self, number: int) -> bool:
        """Take a signal; gives whether it is a second one, which ends the command at once."""
        self.number = self.number or number
        now = time.monotonic()
        if self._when is None:
            self._when = now
        return now - self._when > _SAME

    def end_at_once(self) -> NoReturn:
        """End without waiting for anything; workers end with this process."""
        tell_stopped(at_once=True)
        os._exit(self.code)


def tell_stopped(*, at_once: bool = False) -> None:
    """Say what is kept and how to go on."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    kept = "what is finished is kept"
    if word in _KEEPS:
        kept += (
            ", and the last checkpoint" if at_once else ", and a checkpoint of what was training"
        )
    else:
        kept += ", and no file is half written"
    how = "ended at once" if at_once else "stopped"
    with contextlib.suppress(OSError, ValueError):
        print(f"winnow: {how}; {kept}. To continue: {as_typed()}", file=sys.stderr, flush=True)


def as_typed() -> str:
    """The command as it was typed, fit to be typed again."""
    return shlex.join(["winnow", *sys.argv[1:]])


@contextlib.contextmanager
def heeding_signals() -> Iterator[Stopping]:
    """Within, signals that end a command raise `StoppedError` in the main thread.

    Signals that are ignored, as ``nohup`` does, stay so. A thread hears them too, which ends the
    command where the main thread cannot, because it is deep in some library.
    """
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def raised(number: int, frame: FrameType | None) -> None:
        if asked:
            return
        stopping.number = stopping.number or number
        if _LATER is not None and _is_importing(frame):
            signal.signal(_LATER, raised)
            signal.setitimer(signal.ITIMER_REAL, _SOON)
            return
        asked.append(number)
        raise StoppedError(stopping.number)

    asked: list[int] = []
    before = {}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    thread = threading.Thread(target=_listen, args=(reader, stopping), daemon=True)
    thread.start()
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        for number in _numbers():
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, raised)
        yield stopping
    finally:
        stopping.over.set()
        if _LATER is not None:
            signal.setitimer(signal.ITIMER_REAL, 0.0)  # or it ends a command that is ending anyway
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(writer)
        thread.join()
        os.close(reader)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: extensions in C++ end the process, with a core dump, at
    an exception in their midst.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _numbers() -> list[int]:
    """The signals, as far as this system has them."""
    return [int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)]


def ignore_signals() -> None:
    """Let signals that come now end nothing."""
    if threading.current_thread() is threading.main_thread():
        for number in _numbers():
            signal.signal(number, signal.SIG_IGN)


def _listen(reader: int, stopping: Stopping) -> None:
    """Hear signals as they come, until the pipe is closed."""
    heeded = _numbers()
    while data := os.read(reader, 1):
        if data[0] in heeded and stopping.heard(data[0]):
            stopping.end_at_once()
        if data[0] in heeded:
            threading.Thread(target=_end_at_last, args=(stopping,), daemon=True).start()


def _end_at_last(stopping: Stopping) -> None:
    if not stopping.over.wait(_AT_LAST):
        stopping.end_at_once()
