"""What all benches share."""

from __future__ import annotations

import os
import platform

import llvmlite.binding
import numba
import torch

from winnow.engine.sparse_cpu.simd import W


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    return {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "float32 lanes": W,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numba": numba.__version__,
        "threads": 1,
    }
