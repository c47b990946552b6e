"""Workers forked by a server: what it shares with them, and how each side ends with the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiment.train.pools.test_local import answer, long_task
from winnow.experiment.store.store import Store
from winnow.experiment.train.pools import forking, server
from winnow.experiment.train.pools.forking import ForkServer
from winnow.experiment.train.pools.local import LocalPool
from winnow.experiment.train.protocol import Answer
from winnow.experiment.train.ready import Needed, make_ready

pytestmark = pytest.mark.skipif(not forking.FORKS, reason="workers are forked on Linux")


def threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def is_alive(process: int) -> bool:
    """Whether a process runs; what is dead and not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end_of(processes: list[int]) -> None:
    end = time.monotonic() + 20
    while any(map(is_alive, processes)):
        assert time.monotonic() < end, "processes stay"
        time.sleep(0.02)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def command_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")


def ignores(process: int, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    mask = int(status.partition("SigIgn:")[2].split()[0], 16)
    return bool(mask >> (number - 1) & 1)


def test_a_worker_ignores_ctrl_c_from_its_first_moment(tmp_path):
    forks = ForkServer(Store(tmp_path).open().path, os.environ)
    try:
        for _ in range(3):
            worker = forks.hire()
            with worker.stdin, worker.stdout:
                end = time.monotonic() + 0.5
                while time.monotonic() < end:  # from the fork to its own handlers
                    assert ignores(worker.pid, signal.SIGINT)
    finally:
        forks.close()


def test_workers_are_copies_of_a_server_with_one_thread_and_work_on_when_it_dies(tmp_path):
    """With the sparse engine's kernels loaded before: numba could be a source of threads."""
    task = long_task()
    pool = LocalPool(Store(tmp_path).open().path, 2, [Needed("sparse", task.orders[0].run)])
    try:
        first = pool.server.process.pid
        assert threads(first) == 1
        pids = [worker.process.pid for worker in pool.workers]
        assert {parent_of(pid) for pid in pids} == {first}
        assert all("winnow.experiment.train.pools.server" in command_of(pid) for pid in pids)
        for worker in pool.workers:
            maps = Path(f"/proc/{worker.process.pid}/maps").read_text()
            assert "libtorch" in maps
            assert "llvmlite" in maps
        pool.start(task)
        assert answer(pool)[1].event == "step"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            pool.server.process.send_signal(number)  # as to a whole group of processes
        assert answer(pool)[1].event == "step"
        pool.server.process.kill()
        pool.server.process.wait()
        os.kill(pids[0], signal.SIGKILL)
        while (last := answer(pool)[1]).event == "step":
            pass
        assert last == Answer("died", error="-9")
        assert pool.server.process.pid != first
        assert parent_of(pool.workers[-1].process.pid) == pool.server.process.pid
        everybody = [*pids, *(worker.process.pid for worker in pool.workers)]
        everybody.append(pool.server.process.pid)
    finally:
        pool.close()
    wait_for_the_end_of(everybody)


@pytest.mark.slow
def test_a_server_with_threads_lets_workers_begin_anew(tmp_path):
    """Their command is that of a worker; what a library's thread locks is locked in no worker."""
    code = (
        "import sys, threading, time, socket; from pathlib import Path\n"
        "from winnow.experiment.train.pools import server\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "server.serve_forks(socket.socket(fileno=int(sys.argv[3])), Path(sys.argv[4]))"
    )
    start = tmp_path / "python"
    start.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    start.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forking.sys, "executable", str(start))
        made = ForkServer(Store(tmp_path / "runs").open().path, os.environ)
    try:
        worker = made.hire()
        end = time.monotonic() + 20
        while "winnow.experiment.train.worker" not in command_of(worker.pid):
            assert time.monotonic() < end
            time.sleep(0.02)
        worker.stdin.close()
        assert worker.stdout.read() == ""
        assert worker.wait() == 0
        worker.stdout.close()
    finally:
        made.close()


@pytest.mark.slow
def test_all_end_with_a_pool_that_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from winnow.experiment.train.pools.local import LocalPool\n"
        "pool = LocalPool(Path(sys.argv[1]), 2)\n"
        "print(pool.server.process.pid, *(w.process.pid for w in pool.workers), flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pids = list(map(int, process.stdout.readline().split()))
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        process.kill()
    wait_for_the_end_of(pids)


def test_what_makes_workers_ready_draws_no_random_number_and_meets_no_fault():
    import torch

    run = long_task().orders[0].run
    before = torch.random.get_rng_state()
    make_ready([Needed("sparse", run), Needed("no such engine", run)])
    assert bool((torch.random.get_rng_state() == before).all())
    assert Needed.load(Needed("sparse", run).dump()) == Needed("sparse", run)


def test_a_request_that_is_cut_off_is_the_end():
    here, there = server.socket.socketpair()
    with here, there:
        here.sendall(b"abc")
        here.close()
        assert list(server._requests(there)) == []
