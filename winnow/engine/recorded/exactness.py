"""Repeatable numbers on a GPU: what torch is told while an engine works, and told back afterwards.

Within `exact_numbers` the same work on the same kind of GPU, with the same versions of CUDA and
torch, gives the same bits; other GPUs, and CPUs, differ in rounding.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch

Exact = Callable[[], AbstractContextManager[None]]
"""Makes what is around all that an engine computes."""

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_FIXED = ":4096:8"  # one of the two values under which NVIDIA's cuBLAS gives the same bits
_NO_SUCH = "does not have a deterministic implementation"


@contextlib.contextmanager
def exact_numbers(
    device: torch.device, deterministic: bool = True, tf32: bool = False
) -> Iterator[None]:
    """On a CUDA device: no choice of kernels by timing, and by default none that adds in an order
    of chance and no TF32. Elsewhere nothing.

    cuBLAS reads its variable when a process first uses it: where something else has used it
    before without, torch warns.
    """
    if device.type != "cuda":
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_tf32(tf32))
        stack.enter_context(
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=deterministic, allow_tf32=tf32
            )
        )
        if deterministic:
            stack.enter_context(_deterministic())
        yield


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32 = before


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """torch's own switch. It warns, as a network that cannot be exact shall still be trained."""
    fill = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        fill.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    workspace = os.environ.get(_WORKSPACE)
    os.environ.setdefault(_WORKSPACE, _FIXED)
    torch.use_deterministic_algorithms(True, warn_only=True)
    fill.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        fill.fill_uninitialized_memory = before[2]  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)


@contextlib.contextmanager
def exact_compiling(device: torch.device, deterministic: bool) -> Iterator[None]:
    """For a GPU: Inductor shall not choose how it sums by timing, where it can be told."""
    if device.type != "cuda" or not deterministic:
        yield
        return
    from torch._inductor import config

    known = hasattr(config, "deterministic")  # since torch 2.9
    with config.patch(deterministic=True) if known else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def telling_of_chance(note: Callable[[str], None]) -> Iterator[None]:
    """Give ``note`` what torch warns of: operations that have no repeatable implementation."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    for warning in seen:
        text = str(warning.message)
        if _NO_SUCH in text or _WORKSPACE in text:
            note(f"its bits may differ from run to run: {text.split('. ')[0].splitlines()[0]}")
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
