"""The kernels on narrower vectors than this machine's: the tests of gradients, in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow.engine.sparse_cpu import simd

TESTS = ["test_sparse_simd.py", "test_sparse_gradients.py", "test_sparse_correlate.py"] + [
    f"test_sparse_{what}.py"
    for what in ("pool", "gather", "loss", "convert", "elementwise", "update")
]


@pytest.mark.parametrize("lanes", [w for w in simd.WIDTHS if w < simd.W])
def test_narrower_vectors(lanes):
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *(str(folder / name) for name in TESTS)],
        env={**os.environ, "WINNOW_SIMD_LANES": str(lanes)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
