"""A kernel that compiles quickly, for the tests of the cache; also run as a program of its own.

``python toy_kernel.py CACHE SOURCES [hang]`` prepares it, prints how often it was compiled, and
3 + 1. With ``hang`` it stops for ever when the compiled code is to be written.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from numba import types

from winnow.kernels import cache
from winnow.kernels.compile import EntryPoint, named_kernel


def fresh_entry(name: str = "plus_one") -> EntryPoint:
    """The kernel, neither compiled nor loaded yet."""

    @named_kernel(name)
    def plus_one(array):
        array[0] += 1

    return EntryPoint(plus_one, (types.float32[::1],))


def hang(_: EntryPoint) -> bytes:
    print("compiled", flush=True)
    time.sleep(600)
    return b""


def result_of(entry: EntryPoint) -> int:
    """3 + 1, by the kernel."""
    three = np.array([3], np.float32)
    entry.kernel(three)
    return int(three[0])


def main(folder: str, sources: str, *how: str) -> None:
    compiled = []
    compile_all = cache._compile
    cache._compile = lambda entries: (compiled.append(1), compile_all(entries))[1]
    if how == ("hang",):
        cache._packed = hang
    entry = fresh_entry()
    cache.prepare("toy", [entry], Path(folder), [Path(sources)])
    print(len(compiled), result_of(entry))


if __name__ == "__main__":
    main(*sys.argv[1:])
