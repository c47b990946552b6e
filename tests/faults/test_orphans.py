"""Workers end with their parent; who waits for a frozen process is told for whom."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from pathlib import Path

import pytest
from commands import LONG, lives, start, wait_until, workers

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc"),
]


@pytest.fixture
def training(recipe, tmp_path):
    """A command that trains for long, its worker, and the arguments."""
    arguments = ("run", recipe, *LONG, "--store", tmp_path / "runs", "--jobs", 1)
    process = start(*arguments, "--checkpoint", 0.2)
    assert wait_until(lambda: list(tmp_path.glob("runs/checkpoints/[!.]*")), process)
    yield process, workers(process.pid), arguments
    process.kill()
    process.communicate()


def test_a_worker_that_is_stopped_ends_when_its_parent_is_killed(training):
    process, own, _ = training
    assert own
    for worker in own:
        os.kill(worker, signal.SIGSTOP)
    process.kill()
    assert wait_until(lambda: not any(map(lives, own)))


@pytest.mark.slow
def test_who_waits_for_a_frozen_holder_says_for_whom_and_goes_on(training, tmp_path):
    process, own, arguments = training
    (lock,) = tmp_path.glob("runs/locks/*.lock")
    holder = json.loads(lock.read_text())
    assert holder["process"] in own
    assert holder["host"] == socket.gethostname()
    os.killpg(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    other = start(*arguments, "--quiet")
    try:
        ready, _, _ = select.select([other.stderr], [], [], 60)
        assert ready
        told = other.stderr.readline()
        assert time.monotonic() - began < 30
        assert "digits-lenet-300-100-dense-" in told
        assert f"process {holder['process']} on {holder['host']}" in told
        assert f"winnow run {arguments[1]}" in told
        assert "stopped" in told
        assert f"kill -KILL {process.pid} {holder['process']}" in told
        os.killpg(process.pid, signal.SIGKILL)  # as it was told

        def taken_over():
            found = [json.loads(p.read_text() or "{}") for p in lock.parent.glob("*.lock")]
            return any(one.get("parent") == other.pid for one in found)

        assert wait_until(taken_over, other)
    finally:
        other.kill()
        other.communicate()
