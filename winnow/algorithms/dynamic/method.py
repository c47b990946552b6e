"""What a method of dynamic sparsity is: when it changes the mask, what it sees, what it answers.

A method is a frozen value of options. It knows no engine: `driven` and `loop` show it a `Moment`
and carry out the `Change` that it answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from winnow.amounts import checked_steps, iterations
from winnow.errors import UserError
from winnow.mask import Mask

Tensors = Mapping[str, Tensor]
When = Literal["instead", "after"]


@dataclass(frozen=True)
class Timing:
    """In which iterations the mask changes: begin, begin + every, … below end; and at ``last``.

    From each of the iterations ``doubled`` on the period is twice as long. ``steps``: the length of
    the training.
    """

    begin: int
    end: int
    every: int
    steps: int
    doubled: tuple[int, ...] = ()
    last: int | None = None

    def due(self, step: int) -> bool:
        """Whether the mask changes at this iteration."""
        if step == self.last:
            return True
        period = self.every << sum(step >= one for one in self.doubled)
        return self.begin <= step < self.end and (step - self.begin) % period == 0

    def next(self, step: int, limit: int) -> int:
        """The first such iteration from ``step`` on; ``limit`` if none comes before it."""
        return next((s for s in range(step, limit) if self.due(s)), limit)

    def done(self, step: int) -> float:
        """How much of the time from begin to end has passed, 0 to 1."""
        return min(max((step - self.begin) / max(self.end - self.begin, 1), 0.0), 1.0)


@dataclass(frozen=True)
class Memory:
    """What a method carries from update to update: numbers, and tensors kind → parameter."""

    scalars: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, Tensors] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """What a method sees when an update is due.

    ``step``: iterations made, the one just made included ("after"), or the number of the one that
    the update replaces ("instead"). ``mask``, ``kept()`` (the values that it keeps, 1-d,
    row-major), ``gradient()`` (dense, of the batch at hand; "instead" only) and ``momentum()``
    (dense, if the method has ``dense_slots``): name → tensor, not to be written to.
    ``perturb(change)`` moves the kept weights (see the engine's session). ``rate``: the learning
    rate.
    """

    step: int
    timing: Timing
    mask: Tensors
    memory: Memory
    seed: int
    rate: float
    kept: Callable[[], Tensors]
    gradient: Callable[[], Tensors]
    momentum: Callable[[], Tensors]
    perturb: Callable[[Callable[[str, Tensor], Tensor]], None]


@dataclass(frozen=True)
class Change:
    """A new mask. ``grown``: kept weights that start anew, at ``values`` (1-d, one for each,
    row-major; default 0) with optimizer slots 0; default those that the mask before did not keep.
    ``memory``: what to remember now.
    """

    mask: Tensors
    values: Tensors | None = None
    grown: Tensors | None = None
    memory: Memory | None = None


class Method(Protocol):
    """A method of dynamic or gradual sparsity.

    ``when``: updates come "after" the optimizer's step of an iteration, or "instead" of it, on the
    gradient of its batch. ``dense_slots``: it needs gradients and momenta of removed weights all
    along. ``protects``: names, patterns and group words of the layers that the original leaves
    dense. ``density``: kept fraction of the weights that compete, at the end.
    """

    name: ClassVar[str]
    when: ClassVar[When]
    dense_slots: ClassVar[bool]

    @property
    def density(self) -> float: ...

    @property
    def protects(self) -> tuple[str, ...]: ...

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        """When the mask changes in a training of ``steps`` iterations. UserError for options that
        do not fit it.
        """
        ...

    def start(self, weights: Tensors, seed: int) -> Mask:
        """The mask that a dense network is first given. UserError for a density out of reach."""
        ...

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:
        """What there is to remember before the first update."""
        ...

    def update(self, at: Moment) -> Change | None:
        """The update that is due; None to leave the mask as it is."""
        ...


def timed(
    method: str,
    steps: int,
    per_epoch: int | None,
    *,
    every: str,
    begin: str = "0it",
    end: str | None = None,
    share: float = 1.0,
) -> Timing:
    """A timing from amounts of training; ``end`` None is the fraction ``share`` of the training."""
    period = amount(method, "every", every, per_epoch)
    first = amount(method, "begin", begin, per_epoch)
    last = math.floor(share * steps + 1e-6)
    if end is not None:
        last = amount(method, "end", end, per_epoch)
    if period < 1:
        raise UserError(f"every is {every!r}: {method} updates every iteration at most, '1it'")
    if not first <= last:
        raise UserError(f"{method} begins at iteration {first}, after its end at {last}")
    return Timing(first, last, period, steps)


def amount(method: str, option: str, value: str, per_epoch: int | None) -> int:
    """An amount of training such as "100it" or "1ep" in iterations."""
    try:
        text = checked_steps(value)
    except UserError as error:
        raise UserError(f"{option} {error}") from None
    if text.endswith("ep") and per_epoch is None:
        raise UserError(
            f"{option} of {method} is {value!r}: pass per_epoch=, the iterations of an epoch "
            f"(e.g. len(loader)), or write {option}='100it'"
        )
    return iterations(text, per_epoch or 1)


def check_fraction(option: str, value: float, example: float) -> None:
    """UserError unless the value is a number from 0 to 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise UserError(f"{option} is {value!r}: give a number from 0 to 1, e.g. {example}")
