"""Commands as processes, watched by the files that they make, and killed then."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HANGS = 240.0  # seconds after which a process that waits for ever is given up
RECIPE = """
title: small
source: a test
data: {name: digits, validation: 100}
model: {name: lenet-300-100, hidden: [9, 5]}
train: {steps: 60it, batch: 50, optimizer: {name: adam, lr: 5e-3}, evaluate: 20it}
prune: {rate: 0.5, rounds: 1, rewind: 20it}
controls: {reinit: 1}
replicates: 1
engine: dense
"""
LONG = ("-o", "train.steps=400000it", "-o", "train.evaluate=2000it")


def start(*arguments: object, **env: str) -> subprocess.Popen[str]:
    """A command in a session of its own, which hears Ctrl-C whoever started the tests."""

    def hears_signals() -> None:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "winnow", *map(str, arguments)],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_signals,
    )


def wait_until(there: Callable[[], object], process: subprocess.Popen[str] | None = None) -> bool:
    """Wait for something to be true; False when the process ended before that."""
    end = time.monotonic() + HANGS
    while not there():
        if process is not None and process.poll() is not None:
            return False
        assert time.monotonic() < end, "it takes for ever"
        time.sleep(0.01)
    return True


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a process that ends now."""
    out, err = process.communicate(timeout=HANGS)
    return process.returncode, out, err


def children(process: int) -> list[int]:
    """The processes that a process has started and that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(") ")[2].split()[:2]
            if int(parent) == process and state != "Z":
                found.append(int(path.parent.name))
    return sorted(found)


def workers(process: int) -> list[int]:
    """Those that train for a command: forked by its server, or its own children without one."""
    found = children(process)
    return [one for child in found for one in children(child)] or found


def lives(process: int) -> bool:
    """Whether a process is there and no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    return False
