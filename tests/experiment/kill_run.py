"""Kills a run in the middle, as a machine may."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import Any

from winnow.experiment.runs import Run
from winnow.experiment.store.store import Store


def kill_when_begun(process: subprocess.Popen[Any], store: Store, run: Run) -> None:
    """Kill a command, of a session of its own, and its workers once ``run`` has a checkpoint.

    Nothing is finished then.
    """
    while not store.checkpoint(run).exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((store.path / "runs").iterdir())
