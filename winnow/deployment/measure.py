"""How long networks take for a batch, beside each other, and how often they are right."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winnow.deployment.outputs import flat
from winnow.engine.turns import Clock, Repeat, in_turns, one_thread
from winnow.errors import UserError

TURNS = 9
TURN_SECONDS = 0.05
BATCH_SIZES = (1, 64)
_BATCH = 256  # of examples whose classes are compared
_NO_LABEL = -100  # as torch's losses skip it: padding

Rival = Callable[[Sequence[Tensor]], Callable[[], object]]
"""Given the inputs in order: a call without arguments that computes once. What it prepares
(conversions) is not timed."""


@dataclass(frozen=True)
class Latency:
    """Seconds that one call takes for a batch: the median and the quartiles of the turns."""

    rival: str
    batch: int
    median: float
    low: float
    high: float
    turns: int

    def __str__(self) -> str:
        """Such as ``13.6 µs (13.4–14.0)``, the quartiles in the unit of the median."""
        unit, scale = _unit(self.median)
        low, high = (three_digits(value / scale) for value in (self.low, self.high))
        return f"{three_digits(self.median / scale)} {unit} ({low}–{high})"


@dataclass(frozen=True)
class Accuracy:
    """How many of so many examples (of sequences: tokens) got the right class."""

    correct: int
    examples: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.correct / self.examples


def module_rival(module: nn.Module, names: Sequence[str] | None = None) -> Rival:
    """A module in the comparison. ``names``: of forward's arguments, to call it with those."""

    def prepared(inputs: Sequence[Tensor]) -> Callable[[], object]:
        if names is None:
            return lambda: module(*inputs)
        given = dict(zip(names, inputs, strict=True))
        return lambda: module(**given)

    return prepared


def latencies(
    rivals: Mapping[str, Rival],
    example: Sequence[Tensor],
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    turns: int = TURNS,
    turn: float = TURN_SECONDS,
    clock: Clock = time.perf_counter,
) -> tuple[Latency, ...]:
    """Seconds for each rival and size of a batch, on one torch thread.

    ``example``: the inputs in order, (B, …) each, whose rows are repeated to the size of a batch.
    The rivals take turns, ``turns`` of them, so that whatever else the machine does falls on all
    alike. A turn lasts at least about ``turn`` seconds: it repeats calls that are short. Each rival
    is warmed up first. Modules are run as they are: put them in evaluation. ``clock``: as that of
    `winnow.engine.turns.in_turns`.
    """
    found: list[Latency] = []
    with one_thread(), torch.inference_mode():
        for size in batch_sizes:
            inputs = [_repeated_rows(value, size) for value in example]
            calls = {name: _repeated(rival(inputs)) for name, rival in rivals.items()}
            for name, times in in_turns(calls, 0.0, turn, turns, clock).items():
                low, median, high = statistics.quantiles(times, n=4, method="inclusive")
                found.append(Latency(name, size, median, low, high, len(times)))
    return tuple(found)


def accuracy_of(run: Callable[..., Any], inputs: Sequence[Tensor], labels: Tensor) -> Accuracy:
    """How often the largest entry of the first output is the label.

    ``inputs``: in order, (N, …) each; ``labels``: (N,), or (N, T) for outputs (N, T, classes);
    those of -100 do not count. ``run`` gets batches of 256. UserError for shapes that do not go
    together, and for no labels at all.
    """
    if len(counts := {len(value) for value in (*inputs, labels)}) != 1:
        raise UserError(f"inputs and labels have {sorted(counts)} examples: give as many of each")
    correct = examples = 0
    with torch.inference_mode():
        for first in range(0, len(labels), _BATCH):
            last = first + _BATCH
            wanted = labels[first:last]
            found = _first(run(*(value[first:last] for value in inputs))).argmax(-1)
            if found.shape != wanted.shape:
                raise UserError(
                    f"labels are {list(wanted.shape)} where the network decides on "
                    f"{list(found.shape)} classes: the last dimension of its first output has to "
                    "be the classes"
                )
            counted = wanted != _NO_LABEL
            correct += int((found == wanted)[counted].sum())
            examples += int(counted.sum())
    if not examples:
        raise UserError("there are no labels to measure accuracy on: give at least one example")
    return Accuracy(correct, examples)


def printed_seconds(seconds: float) -> str:
    """Three digits: 13.6 µs, 1.23 ms, 2.50 s."""
    unit, scale = _unit(seconds)
    return f"{three_digits(seconds / scale)} {unit}"


def three_digits(value: float) -> str:
    """1.23, 12.3, 123, 1,234."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _unit(seconds: float) -> tuple[str, float]:
    if seconds < 999.5e-6:
        return "µs", 1e-6
    return ("ms", 1e-3) if seconds < 999.5e-3 else ("s", 1.0)


def _repeated_rows(value: Tensor, size: int) -> Tensor:
    return value[torch.arange(size) % len(value)]


def _repeated(call: Callable[[], object]) -> Repeat:
    def repeat(count: int) -> None:
        for _ in range(count):
            call()

    return repeat


def _first(result: Any) -> Tensor:
    """The first tensor of what a network returns."""
    tensors: list[Tensor] = []
    flat(result, tensors)
    return tensors[0]
