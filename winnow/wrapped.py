"""Optimizers as trainers hand them out: several, or wrapped in others."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

import torch
from torch.optim import Optimizer

from winnow.errors import UserError

Optimizers = Optimizer | Sequence[Optimizer]
_DEPTH = 9  # wrappers in wrappers; a wrapper of itself ends here


def optimizers_listed(optimizers: Optimizers | None) -> list[Optimizer]:
    """None, one or several as a list."""
    if optimizers is None:
        return []
    given: Any = optimizers
    return [given] if hasattr(given, "param_groups") else list(given)


def hookable(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizers that run step hooks: this one and those that it wraps, the outermost first.

    A wrapper has what it wraps in ``.optimizer``: accelerate's AcceleratedOptimizer and Lightning's
    LightningOptimizer, which run no hooks of their own, or an optimizer around another, which does;
    torch's ZeroRedundancyOptimizer has it in ``.optim``.
    Raises UserError when there is none.
    """
    found: list[Optimizer] = []
    inner: Any = optimizer
    for _ in range(_DEPTH):
        if "_optimizer_step_post_hooks" in vars(inner):
            found.append(inner)
        inner = getattr(inner, "optimizer", None) or getattr(inner, "optim", None)
        if not hasattr(inner, "param_groups"):
            break
    if not found:
        raise UserError(
            f"{type(optimizer).__name__} runs no step hooks and has no .optimizer that does, so "
            "that nothing tells when it stepped: pass the torch.optim.Optimizer inside it, or "
            "derive it from torch.optim.Optimizer and call its __init__"
        )
    return found


def held_by(optimizers: Iterable[Optimizer]) -> set[int]:
    """The ids of the parameters that the optimizers hold together."""
    return {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}


def found_inf(optimizer: Optimizer) -> bool:
    """Whether a GradScaler found infinite gradients, and the step, fused, will leave them out."""
    flag = getattr(optimizer, "found_inf", None)
    return isinstance(flag, torch.Tensor) and bool(flag.item())


class StepCalls:
    """Tells a step from one within it: of a class that calls ``super().step()``, hooks run twice.

    To be told of each call by a pre-hook and a post-hook. A call that ended in an error, whose
    post-hook never came, is known by its frame, which is on the stack no more.
    """

    def __init__(self) -> None:
        self._open: dict[int, list[FrameType | None]] = {}

    def enter(self, optimizer: Optimizer) -> bool:
        """From a pre-hook: whether no other step of this optimizer is under way."""
        running = set()
        own: FrameType | None = None
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            running.add(frame)
            if own is None and frame.f_code is _HOOKED:
                own = frame
            frame = frame.f_back
        calls = [call for call in self._open.get(id(optimizer), []) if call in running]
        self._open[id(optimizer)] = [*calls, own]
        return not calls

    def leave(self, optimizer: Optimizer) -> bool:
        """From a post-hook: whether the step that ends is within no other."""
        calls = self._open.get(id(optimizer), [])
        if calls:
            calls.pop()
        return not calls


_HOOKED = Optimizer.profile_hook_step(lambda *_: None).__code__  # of what runs the hooks
