"""The kernels on narrower vectors than this machine's: the tests of gradients, in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.kernels import simd

TESTS = [
    "engine/sparse_cpu/kernels",
    "engine/sparse_cpu/graph/test_correlate.py",
    "kernels/test_simd.py",
    "kernels/test_moment_kernel.py",
]


@pytest.mark.slow
@pytest.mark.parametrize("width", [w for w in simd.WIDTHS if w < simd.W])
def test_narrower_vectors(width):
    folder = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *(str(folder / name) for name in TESTS)],
        env={**os.environ, "WINNOW_SIMD_LANES": str(width)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
