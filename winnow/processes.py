"""Processes that work for another one, and end with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Have the system kill this process as soon as its parent is gone, even while it is stopped.

    Linux only; elsewhere a worker ends when its standard input closes. In a process that has just
    been forked it is to be called anew: children do not inherit it.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the system knew
        os._exit(1)
