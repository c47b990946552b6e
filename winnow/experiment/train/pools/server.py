"""The fork server: ``python -m winnow.experiment.train.pools.server SOCKET STORE``.

It imports what workers need, loads their kernels once, and forks a worker whenever it is asked.
A fork copies one thread alone, and locks that others hold stay locked in it. So this process starts
none: its libraries have one thread by the environment, it computes nothing and leaves a GPU alone.
Should it have several all the same, a worker begins anew as a program of its own.

    pool → server   ``HIRE``, with the worker's input and output; the answer is its process
                    ``END`` and a process whose output is closed; the answer is its exit code

When the pool closes the socket, or is killed, all workers end at once.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from winnow.experiment.train.ready import Needed, make_ready
from winnow.processes import end_with_parent

REQUEST, REPLY = struct.Struct("<qq"), struct.Struct("<q")
HIRE, END = 0, 1
_WORKER = "winnow.experiment.train.worker"


def serve_forks(control: socket.socket, store: Path) -> None:
    """Serve until the pool closes its end of the socket."""
    end_with_parent()
    before = _ignore_signals()
    make_ready([Needed.load(plain) for plain in json.load(sys.stdin)])
    gc.freeze()  # what is here stays: no worker looks for garbage in it, and its memory is shared
    workers: set[int] = set()
    for kind, process, files in _requests(control):
        if kind == HIRE:
            answer = _forked(control, store, files, before)
            workers.add(answer)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            workers.discard(process)
        with contextlib.suppress(OSError):  # the pool is gone, which the next request tells
            control.sendall(REPLY.pack(answer))
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    for worker in workers:
        os.waitpid(worker, 0)


def _ignore_signals() -> dict[int, Any]:
    """Leave to the pool what a whole group of processes is told; gives what was done before."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return {number: signal.signal(number, signal.SIG_IGN) for number in _numbers(names)}


def _numbers(names: tuple[str, ...]) -> list[signal.Signals]:
    return [getattr(signal, name) for name in names]


def _requests(control: socket.socket) -> Iterator[tuple[int, int, list[int]]]:
    """What the pool asks: the request's kind and process, and the files that came with it."""
    while True:
        try:
            data, files, _, _ = socket.recv_fds(control, REQUEST.size, 2)
        except ConnectionError:
            return
        if len(data) < REQUEST.size:  # requests are sent at once, and are not taken apart
            return
        kind, process = REQUEST.unpack(data)
        yield kind, process, files


def _forked(control: socket.socket, store: Path, files: list[int], signals: dict[int, Any]) -> int:
    """The process of a new worker, which reads its tasks from the first file and answers in the
    second.
    """
    alone = is_alone()
    process = os.fork()
    if process == 0:
        _become_worker(control, store, files, signals, alone)
    for file in files:
        os.close(file)
    return process


def is_alone() -> bool:
    """Whether this process has one thread."""
    return len(list(Path("/proc/self/task").iterdir())) == 1


def _become_worker(
    control: socket.socket, store: Path, files: list[int], signals: dict[int, Any], alone: bool
) -> NoReturn:
    try:
        control.close()
        for number, handler in signals.items():
            if number != signal.SIGINT:  # Ctrl-C is the command's to handle, from the first moment
                signal.signal(number, handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        if not alone:
            os.execv(sys.executable, [sys.executable, "-m", _WORKER, str(store)])
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        from winnow.experiment.train.worker import work

        work(store)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # never back into the server's loop


if __name__ == "__main__":
    serve_forks(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
