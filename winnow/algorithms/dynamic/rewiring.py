"""What is usual in dynamic sparse training, so that a method is its update and its citation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from winnow.algorithms.dynamic.exchange import counted, fraction_of
from winnow.algorithms.dynamic.method import Memory, Moment, When
from winnow.algorithms.dynamic.start import (
    check_density_of,
    check_distribution,
    first_counts,
    random_mask,
)
from winnow.algorithms.dynamic.timing import Timing, timed
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.grains import Grain, NofM, grain_of
from winnow.schedule import check_decay, drop_fraction
from winnow.state import Tensors


@dataclass(frozen=True)
class Rewiring:
    """A random mask at first, as many weights after every update, nothing to remember.

    A method inherits that, gives its own defaults, its own options and ``update(at)``, and
    declares where it differs: see `DynamicMethod`. ``share``: the part of the training in which
    updates are made, where ``end`` does not say. ``least``: what each layer must have at first for
    the method to go on from.

    ``density``: kept fraction. ``every``, ``begin``, ``end``: iterations or epochs between updates,
    before the first and until the last. ``distribution`` over layers: uniform, er or erk.
    """

    name: ClassVar[str]
    when: ClassVar[When] = "after"
    dense_slots: ClassVar[bool] = False
    starts_dense: ClassVar[bool] = False
    scoped: ClassVar[bool] = False
    extra_cost: ClassVar[str] = ""
    share: ClassVar[float] = 1.0
    least: ClassVar[int] = 0

    density: float = 0.1
    every: str = "100it"
    begin: str = "0it"
    end: str | None = None
    distribution: str = "uniform"

    def __post_init__(self) -> None:
        check_distribution(self.distribution)
        if self.distribution == "row" and self.grain is None:
            raise UserError(
                f"{self.name} does not keep rows: what it grows is elsewhere than what it drops. "
                "Methods that do are set and rigl; gradual by its scope"
            )

    @property
    def grain(self) -> Grain | None:
        """What holds after every update."""
        return None

    @property
    def protects(self) -> tuple[str, ...]:
        return ()

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        return timed(
            self.name, steps, per_epoch,
            every=self.every, begin=self.begin, end=self.end, share=self.share,
        )  # fmt: skip

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        whole = {name: tuple(shape) for name, shape in shapes.items()}
        return sum(
            first_counts(whole, self.density, self.distribution, self.least, self.grain).values()
        )

    def start(self, weights: Tensors, seed: int) -> Mask:
        return random_mask(weights, self.density, self.distribution, seed, self.least, self.grain)

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:  # noqa: ARG002
        return Memory()


@dataclass(frozen=True)
class Patterned(Rewiring):
    """One whose update can keep a pattern: what a unit or a group loses it gets back.

    ``distribution`` may be row: every output has as many inputs, at first and after each update.
    ``pattern``: N:M, which holds after each update. ``block`` (r, c): blocks of r outputs × c
    inputs come and go together.
    """

    pattern: str | None = None
    block: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.grain, NofM):
            check_density_of(self.grain, self.density)

    @property
    def grain(self) -> Grain | None:
        """What holds after every update."""
        row = self.distribution == "row"
        return grain_of("row" if row else "layer", self.pattern, self.block)


def check_drop(drop: float, decay: str, example: float) -> None:
    """UserError unless ``drop`` is a fraction, such as the example, and there is such a decay."""
    check_fraction("drop", drop, example)
    check_decay(decay)


def check_fraction(option: str, value: float, example: float) -> None:
    """UserError unless the value is a number from 0 to 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise UserError(f"{option} is {value!r}: give a number from 0 to 1, e.g. {example}")


def falling_counts(at: Moment, drop: float, decay: str) -> dict[str, int]:
    """How many weights each layer drops: the fraction ``drop`` of what it has, rounded down, and
    less and less from the begin of the updates to their end, as ``decay`` says.
    """
    now, end = at.step - at.timing.begin, at.timing.end - at.timing.begin
    fraction = drop_fraction(decay, now, end=end, fraction=drop)
    return {name: fraction_of(n, fraction) for name, n in counted(at.mask).items()}
