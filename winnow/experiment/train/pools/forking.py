"""Workers forked by one process that has imported what they need: the pool's side of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from winnow.experiment.train.pools.server import END, HIRE, REPLY, REQUEST
from winnow.experiment.train.protocol import WorkerError
from winnow.experiment.train.ready import Needed

FORKS = sys.platform.startswith("linux")
"""Whether workers are forked. On macOS system libraries do not survive it, Windows has none."""


class ForkServer:
    """The process that forks workers (`winnow.experiment.train.pools.server`)."""

    def __init__(
        self, store: Path, environment: Mapping[str, str], needed: Sequence[Needed] = ()
    ) -> None:
        """``needed``: what workers will train. It begins at once and is waited for by `hire`."""
        self.socket, theirs = socket.socketpair()
        with theirs:
            module = "winnow.experiment.train.pools.server"
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(store)],
                stdin=subprocess.PIPE,
                text=True,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
            )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as told:
            json.dump([one.dump() for one in needed], told)
        self.serves = False  # whether it has answered

    def hire(self) -> Forked:
        """A new worker. Raises WorkerError: the server could not start, or is gone."""
        tasks, to_worker = os.pipe()
        from_worker, answers = os.pipe()
        process: int | None = None
        try:
            process = self._asked(HIRE, files=[tasks, answers])
        finally:
            for file in (tasks, answers):
                os.close(file)
            if process is None:
                os.close(to_worker)  # which ends a worker that there may be
                os.close(from_worker)
        if process is None:
            code = self.process.wait()
            raise WorkerError(f"no worker could start (exit code {code}); see its messages above")
        return Forked(self, process, os.fdopen(to_worker, "w"), os.fdopen(from_worker))

    def end_of(self, process: int) -> int:
        """The exit code of a worker that has closed its output; -9 where the server is gone."""
        code = self._asked(END, process)
        return -signal.SIGKILL if code is None else code

    def _asked(self, kind: int, process: int = 0, files: Sequence[int] = ()) -> int | None:
        """The server's answer; None when it is gone."""
        try:
            socket.send_fds(self.socket, [REQUEST.pack(kind, process)], files)
            data = self.socket.recv(REPLY.size, socket.MSG_WAITALL)
        except OSError:
            return None
        if len(data) < REPLY.size:
            return None
        self.serves = True
        answer: int = REPLY.unpack(data)[0]
        return answer

    def close(self) -> None:
        """End the server, and with it all workers, at once."""
        self.socket.close()
        if not self.serves:
            self.process.kill()  # it is still importing, or what it was asked is answered no more
        self.process.wait()


class Forked:
    """A worker, with the names that `subprocess.Popen` has for the same."""

    def __init__(self, server: ForkServer, process: int, stdin: IO[str], stdout: IO[str]) -> None:
        self.server, self.pid, self.stdin, self.stdout = server, process, stdin, stdout

    def kill(self) -> None:
        """End it at once. Its number is no other process's while its server has not waited; where
        that is gone, its input is closed, at which it ends.
        """
        with contextlib.suppress(OSError):
            if self.server.process.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
            else:
                self.stdin.close()

    def poll(self) -> int | None:
        """None, or what ended it with its server: all workers of one that is gone are dying."""
        return None if self.server.process.poll() is None else -signal.SIGKILL

    def wait(self) -> int:
        """Its exit code, once it has closed its output."""
        return self.server.end_of(self.pid)
