"""A kernel that compiles quickly, for the tests of the cache; also run as a program of its own.

``python toy_kernel.py CACHE [SOURCES]`` prepares it, prints how many it compiled and 3 + 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numba import types

from winnow.engine.sparse_cpu import cache


@cache.kernel
def plus_one(array):
    array[0] += 1


ENTRY = cache.Entry(plus_one, (types.float32[::1],))


def compiled() -> int:
    """How often numba has compiled the kernel, rather than loaded it."""
    return len(plus_one.get_metadata() or {}) if plus_one.stats.cache_hits else 0


if __name__ == "__main__":
    count = []
    usual = cache._compile
    cache._compile = lambda entries: (count.append(1), usual(entries))
    sources = Path(sys.argv[2]) if len(sys.argv) > 2 else cache._SOURCES
    cache.prepare("toy", [ENTRY], Path(sys.argv[1]), sources)
    three = np.array([3], np.float32)
    plus_one(three)
    print(len(count), int(three[0]))
