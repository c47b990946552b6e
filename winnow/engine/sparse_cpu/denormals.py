"""Numbers too small for float32's full precision (below 1.2e-38) taken for zero, while kernels run.

Moments of weights whose gradient is 0 shrink step by step until they are that small, and then stay
so for good; each vector that has one costs a processor some hundred cycles. In a LeNet of which
some units have died, that is two thirds of a step.

Without weight decay in Adam's gradient no weight changes by it in any bit, unless weights are that
small themselves: an update by such a moment is below 1e-24 with any usual rate and ``eps``, and is
lost in rounding. With it, weights do become that small, and so the job trains as it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_TINY = np.finfo(np.float32).tiny
_HALF = np.float32(0.5)


@contextmanager
def denormals_as_zero(wanted: bool = True) -> Iterator[None]:
    """What the calling thread computes: as zero if ``wanted``, then as it was before."""
    if not wanted or denormals_are_zero():
        yield
        return
    take_denormals_as_zero(True)
    try:
        yield
    finally:
        take_denormals_as_zero(False)


def denormals_are_zero() -> bool:
    """Whether the calling thread takes them for zero."""
    return bool(_TINY * _HALF == 0)


def take_denormals_as_zero(zero: bool) -> None:
    """Set the calling thread's flag; without one (not x86, not Arm) nothing changes."""
    torch.set_flush_denormal(zero)
