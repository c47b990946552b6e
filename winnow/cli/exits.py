"""How a command ends: what it prints and which exit code it leaves.

0 done, 1 a disk or worker failed, 2 bad input; ended by a signal: 130 Ctrl-C, 143 SIGTERM, 129
SIGHUP.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from winnow.cli.stopping import StoppedError, ToldExit, tell_stopped
from winnow.errors import UserError
from winnow.files import DISK_FAULTS

P = ParamSpec("P")
R = TypeVar("R")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Answer bad input with its message and exit code 2, and other ends in their own way."""

    @functools.wraps(command)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = command(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a reader that has gone can still be answered
            return result
        except UserError as error:
            _exit(str(error), 2)
        except KeyboardInterrupt as stop:
            tell_stopped()
            number = stop.number if isinstance(stop, StoppedError) else signal.SIGINT
            raise ToldExit(128 + number) from None
        except BrokenPipeError:  # the reader of a pipe has gone: nothing is left to say
            _drop_output()
            sys.exit(1)
        except OSError as error:
            _drop_output()
            _exit(_about_files(error), 1)
        except RuntimeError as error:
            if not type(error).__module__.startswith("winnow"):
                raise
            _exit(str(error), 1)
        raise AssertionError("not reached")

    return inner


def _exit(message: str, code: int) -> None:
    with contextlib.suppress(OSError):
        print(f"winnow: {message}", file=sys.stderr)
    sys.exit(code)


def _drop_output() -> None:
    """Send what is not written yet nowhere: at exit it would fail once more, with a traceback."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _about_files(error: OSError) -> str:
    """Which file, what is wrong, and what to do where room or permission is missing."""
    place = f"{error.filename}: " if error.filename else ""
    advice = (
        ". What is finished is kept: make room or permit writing, and run the command again"
        if error.errno in DISK_FAULTS
        else ""
    )
    return f"{place}{error.strerror or error}{advice}"


@contextlib.contextmanager
def naming(store: Path, kind: type[OSError]) -> Iterator[None]:
    """A worker's error says what is wrong with the disk, not with which."""
    try:
        yield
    except kind as error:
        raise OSError(errno.ENOSPC, str(error), str(store)) from None
