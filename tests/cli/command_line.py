"""The command line in this process or as one of its own, and what it answers."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from winnow.cli import main

RECIPE = """
title: small
source: a test
data: {name: digits, validation: 100}
model: {name: lenet-300-100, hidden: [9, 5]}
train: {steps: 20it, batch: 50, optimizer: {name: adam, lr: 5e-3}, evaluate: 10it}
prune: {rate: 0.5, rounds: 1}
controls: {reinit: 1}
replicates: 1
engine: dense
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def winnow(*arguments: object) -> Answer:
    """The command in this process, with what it would print on each stream."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["winnow", *map(str, arguments)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Answer(code, out.getvalue(), err.getvalue())


def process(*arguments: object, shell: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a process, ``shell`` after it, with block-buffered output as in a pipe."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | env
    command = " ".join([sys.executable, "-m", "winnow", *map(str, arguments), shell])
    script = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def refused(answer: Answer, *told: str) -> None:
    """It is bad input: exit code 2, nothing on stdout, the words on stderr, no traceback."""
    assert answer.code == 2, answer
    assert answer.out == ""
    assert "Traceback" not in answer.err
    for words in told:
        assert words in answer.err


def folders(store: Path) -> list[str]:
    return sorted(folder.name for folder in (store / "runs").iterdir())
