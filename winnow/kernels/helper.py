"""``python -m winnow.kernels.helper``: a process that compiles kernels for another one.

It first says what compiled code depends on here. Then it reads a line, MODULE NAME, for each kernel
of the package that it is to compile, and answers with that kernel's file. Each answer stands after
its length. It ends with its input, or by an error at what it cannot compile.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import BinaryIO

from winnow.kernels.cache import compiled_file, key
from winnow.kernels.compile import EntryPoint
from winnow.kernels.together import LENGTH
from winnow.processes import end_with_parent


def entry_called(module: str, name: str) -> EntryPoint:
    """The kernel of a module of this package that Python calls by a name. LookupError if none."""
    if not module.startswith("winnow."):
        raise LookupError(f"{module} is no module of winnow")
    there = vars(importlib.import_module(module))
    lists = [entries for title, entries in there.items() if title.startswith("ENTRIES")]
    found: list[EntryPoint] = [e for entries in lists for e in entries if e.name == name]
    if not found:
        raise LookupError(f"{module} has no kernel {name}")
    return found[0]


def _serve(output: BinaryIO) -> None:
    _say(output, key().encode())
    for line in sys.stdin:
        _say(output, compiled_file(entry_called(*line.split())))


def _say(output: BinaryIO, answer: bytes) -> None:
    output.write(len(answer).to_bytes(LENGTH, "big") + answer)
    output.flush()


if __name__ == "__main__":
    end_with_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _serve(answers)
