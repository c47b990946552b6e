"""Locks: one process at a time makes a thing, and one that waits can say for whom.

A lock is a file that its holder has locked with flock, which the system ends when the holder dies.
In it stands who that is. It is gone when nobody holds it: whoever gets a lock looks whether the
file still has its name, as the holder before may have removed it, and takes the new one otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

FOR = "WINNOW_WORKS_FOR"
"""The variable by which a command tells its workers who it is: process and command, as JSON."""

SAY_AFTER = 10.0  # seconds of waiting
_LOOK_EVERY = 0.1  # seconds


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: ``process`` on ``host``, which works for ``command``, whose own process is
    ``parent`` (the same where the command does it itself).
    """

    host: str
    process: int
    command: str
    parent: int

    def __str__(self) -> str:
        worker = "" if self.parent == self.process else f", a worker of process {self.parent}"
        return f"process {self.process} on {self.host}{worker} ({self.command})"

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_frozen(self) -> bool:
        """Whether it is here and has been stopped, by SIGSTOP, Ctrl-Z or a debugger."""
        return self.is_here and _state(self.process) in ("T", "t")

    @property
    def advice(self) -> str:
        """What to do where it works no more."""
        alive = [n for n in dict.fromkeys((self.parent, self.process)) if self._may_live(n)]
        numbers = " ".join(map(str, alive))
        where = "" if self.is_here else f" on {self.host}"
        end = f"to end it, which lets this command go on: kill -KILL {numbers}{where}"
        if self.is_frozen:
            return f"It is stopped. To let it go on: kill -CONT {numbers}; {end}"
        return f"Should it work no more, {end}"

    def _may_live(self, process: int) -> bool:
        return not self.is_here or (
            _state(process) not in ("Z", "X") and (process == self.process or _state(process) != "")
        )


def _state(process: int) -> str:
    """The letter of a process's state, as ``ps`` shows it; empty where it cannot be told."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def myself() -> Holder:
    """This process as the holder of a lock."""
    host, process = socket.gethostname(), os.getpid()
    with contextlib.suppress(KeyError, ValueError, TypeError):
        told = json.loads(os.environ[FOR])
        return Holder(host, process, str(told["command"]), int(told["process"]))
    return Holder(host, process, command_here(), process)


def command_here() -> str:
    """The command that this process was started by, as a user would type it."""
    name = Path(sys.argv[0] if sys.argv else "").name
    if name in ("winnow", "winnow.exe", "__main__.py"):
        return shlex.join(["winnow", *sys.argv[1:]])
    return shlex.join(["python", *sys.argv])


def environment_for_workers() -> dict[str, str]:
    """What workers of this process are told of it."""
    return {FOR: json.dumps({"process": os.getpid(), "command": command_here()})}


def holder_of(path: Path) -> Holder | None:
    """Who holds a lock; None where nobody does, or has not said so yet."""
    try:
        return Holder(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Try to take a lock, whose folder is there; gives whether it was free. Raises OSError."""
    descriptor = _take(path)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        _give_back(path, descriptor)


@contextlib.contextmanager
def lock_when_free(path: Path, what: str) -> Iterator[None]:
    """Take a lock, whose folder is there, when it is free.

    After some seconds standard error says for whom ``what`` waits. Raises OSError.
    """
    began, told = time.monotonic(), None
    while (descriptor := _take(path)) is None:
        holder = holder_of(path)
        now = (holder, holder is not None and holder.is_frozen)
        if holder and now != told and time.monotonic() - began > SAY_AFTER:
            print(f"{what} waits for {holder}. {holder.advice}", file=sys.stderr, flush=True)
            told = now
        time.sleep(_LOOK_EVERY)
    try:
        yield
    finally:
        _give_back(path, descriptor)


def sweep_locks(folder: Path) -> None:
    """Remove the lock files in a folder that nobody holds: a holder that is killed leaves its."""
    for path in folder.glob("*.lock"):
        with contextlib.suppress(OSError), lock_if_free(path):
            pass


def hold(descriptor: int) -> bool | None:
    """Lock what is open, until it is closed: False where another process does, None where the
    system cannot.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_named(descriptor: int, path: Path) -> bool:
    """Whether what is open is what now has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _take(path: Path) -> int | None:
    """The lock, taken; None where another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            taken = _lock(descriptor)
            if taken and is_named(descriptor, path):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not taken:
            return None


def _lock(descriptor: int) -> bool:
    """Whether it could be locked. Raises OSError where the system has no locks."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    """Write down who holds the lock; a full disk is no reason not to hold it."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(asdict(myself())).encode())


def _give_back(path: Path, descriptor: int) -> None:
    """Remove the file while it is held, so that nobody else can hold what is removed."""
    try:
        with contextlib.suppress(OSError):  # the folder is gone, or was made read-only
            if sys.platform != "win32" and is_named(descriptor, path):
                path.unlink()
    finally:
        os.close(descriptor)
