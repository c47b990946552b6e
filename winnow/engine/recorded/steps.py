"""A whole step and the tensors that it changes: as it is written, or compiled for full batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from winnow.engine.tracing import Example, compile_for_many
from winnow.engine.whole_step import BoundStep, StepTensors, WholeStep

Codes = dict[tuple[Any, ...], Callable[[StepTensors], BoundStep]]
"""Compiled steps, by all that the steps of networks of one kind may differ in."""


class BoundSteps:
    """Steps of always the same tensors."""

    def __init__(self, whole: WholeStep, tensors: StepTensors, example: Example) -> None:
        """``example``: a batch as every full one looks."""
        self.whole, self.tensors, self.example = whole, tensors, example
        self.plain: BoundStep = functools.partial(whole, tensors)
        self.full: BoundStep = self.plain

    def compile(self, backend: str, codes: Codes, kind: tuple[Any, ...]) -> None:
        """Compile the step of a full batch, unless ``codes`` has it. Raises CompilerError.

        ``kind``: what the step depends on beside the names and shapes of its tensors.
        """
        key = (*kind, tuple(self.tensors.keep))
        if key not in codes:
            codes[key] = compile_for_many(self.whole, self.tensors, self.example, backend)
        self.full = codes[key](self.tensors)

    def make(self, x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor) -> Tensor:
        """One step. Returns losses and norms."""
        step = self.full if x.shape == self.example[0].shape else self.plain
        return step(x, y, drops, now)
