"""A rival in another Python, which has JAX: it is told how often to step, and times itself.

Which Python: ``$WINNOW_JAX_PYTHON``, else ``.jax/bin/python`` of the repository. To get one:
``python -m venv .jax && .jax/bin/pip install 'jax[cpu]'``. Winnow itself needs no JAX.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

_HERE = Path(__file__).parent


def jax_python() -> str | None:
    """The Python that has JAX; None, and a word on the error stream, where there is none."""
    python = os.environ.get("WINNOW_JAX_PYTHON") or str(_HERE.parent / ".jax" / "bin" / "python")
    command = [python, "-c", "import jax"]
    try:
        found = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if not found:
        print(f"{python} has no JAX, which takes no part: see bench/elsewhere.py", file=sys.stderr)
    return python if found else None


class Elsewhere:
    """A process of ``bench/jax_steps.py``: called with a count, it trains and returns its seconds.

    ``arrays``: what it starts from: ``pixels`` normalised (N, C, H, W), ``labels``, weights by
    name. ``loss``: that of the first batch of ``batch`` images before any step, to compare.
    """

    def __init__(self, python: str, about: Mapping[str, object], arrays: Mapping[str, Tensor]):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "start.npz"
            np.savez(file, **{name: array.detach().numpy() for name, array in arrays.items()})
            command = [python, str(_HERE / "jax_steps.py"), json.dumps(dict(about)), str(file)]
            # no winnow there, and no torch
            env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
            )
            weakref.finalize(self, _end, self._process)
            self.loss = self._answer()

    def __call__(self, count: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"JAX ended with status {self._process.wait()}: see above")
        return float(line)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()  # it ends when it is told nothing more
    process.wait()
