"""What a method of dynamic sparsity is: when it changes the mask, what it sees, what it answers.

A method is a frozen value of options. It knows no engine: `driven` and `loop` show it a `Moment`
and carry out the `Change` that it answers. `rewiring` has what is usual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from torch import Tensor

from winnow.algorithms.dynamic.timing import Timing
from winnow.mask import Mask
from winnow.patterns.grains import Grain
from winnow.state import Tensors

When = Literal["instead", "after"]


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
    rate. ``known``: `positions`, where an update before this one gave them.
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
    known: Tensors | None = None

    def positions(self) -> Tensors:
        """Where the weights that the mask keeps are in each flat tensor, ascending: (kept,)."""
        if self.known is not None:
            return self.known
        return {name: keep.reshape(-1).nonzero().squeeze(1) for name, keep in self.mask.items()}


@dataclass(frozen=True)
class Change:
    """A new mask. ``grown``: kept weights that start anew, at ``values`` (1-d, one for each,
    row-major; default 0) with optimizer slots 0; default those that the mask before did not keep.
    ``memory``: what to remember now. ``known``: where the weights are that the mask keeps, as
    `Moment.positions` has them, of a method that knows: the next update then need not look.
    """

    mask: Tensors
    values: Tensors | None = None
    grown: Tensors | None = None
    memory: Memory | None = None
    known: Tensors | None = None


class DynamicMethod(Protocol):
    """A method of dynamic or gradual sparsity. Nothing outside its file asks for its name.

    ``when``: updates come "after" the optimizer's step of an iteration, or "instead" of it, on the
    gradient of its batch. ``dense_slots``: it needs gradients and momenta of removed weights all
    along, and so an optimizer with a momentum. ``starts_dense``: it trains the dense network at
    first. ``scoped``: its option ``scope`` is that of ``wn.prune``, for which a comparison gives
    its own. ``extra_cost``: what it takes beside a sparse training, in words.
    """

    name: ClassVar[str]
    when: ClassVar[When]
    dense_slots: ClassVar[bool]
    starts_dense: ClassVar[bool]
    scoped: ClassVar[bool]
    extra_cost: ClassVar[str]

    @property
    def density(self) -> float:
        """The kept fraction of the weights that compete, at the end."""
        ...

    @property
    def protects(self) -> tuple[str, ...]:
        """Names, patterns and group words of the layers that the original leaves dense."""
        ...

    @property
    def grain(self) -> Grain | None:
        """The pattern that holds after every update, if any; of weights (outputs, inputs, …)."""
        ...

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        """When the mask changes in a training of ``steps`` iterations. UserError for options that
        do not fit it.
        """
        ...

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        """How many weights of layers of these shapes it keeps at the end, exactly. UserError for a
        density out of reach.
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
