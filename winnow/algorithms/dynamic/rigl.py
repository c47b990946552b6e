"""RigL: drop the smallest weights, grow where the gradient is largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from winnow.algorithms.dynamic.exchange import counted, drop_smallest, grow_largest, part
from winnow.algorithms.dynamic.method import (
    Change,
    Memory,
    Moment,
    Tensors,
    Timing,
    When,
    check_fraction,
    timed,
)
from winnow.algorithms.dynamic.start import check_distribution, random_mask
from winnow.mask import Mask
from winnow.schedule import check_decay, drop_fraction


@dataclass(frozen=True)
class RigL:
    """Evci et al. 2020, "Rigging the Lottery: Making All Tickets Winners", Algorithm 1.

    Every ΔT iterations before T_end, each layer drops the f_decay(t)·n smallest |w| of its n
    weights, and grows as many where |∂L/∂w| is largest among all that are not kept; what was just
    dropped may return, and then keeps its value. Grown weights and their optimizer slots start at
    0. f_decay(t) = (α / 2)(1 + cos(π t / T_end)). An update takes the place of the SGD step of its
    iteration: the batch gives the gradient and no more, and iteration 0 is an update.

    Defaults: ΔT = 100 and α = 0.3 (section 4); T_end is three quarters of the training (25,000 of
    32,000 iterations on ImageNet), ERK layers. With "uniform" the first layer stays dense, as in
    the paper.

    Departures from the official code: it adds noise of 1e-5 to |w|, where ties fall to the lower
    index here; its flag for the decay defaults to "constant"; it does not count update iterations
    as steps, so that an update costs it a batch more; here and in Algorithm 1 an update takes the
    place of a step.
    """

    name: ClassVar[str] = "rigl"
    when: ClassVar[When] = "instead"
    dense_slots: ClassVar[bool] = False

    density: float = 0.1
    every: str = "100it"
    begin: str = "0it"
    end: str | None = None
    drop: float = 0.3
    decay: str = "cosine"
    distribution: str = "erk"

    def __post_init__(self) -> None:
        check_fraction("drop", self.drop, 0.3)
        check_decay(self.decay)
        check_distribution(self.distribution)

    @property
    def protects(self) -> tuple[str, ...]:
        return ("first",) if self.distribution == "uniform" else ()

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        return timed(
            "rigl",
            steps,
            per_epoch,
            every=self.every,
            begin=self.begin,
            end=self.end,
            share=0.75,
        )

    def start(self, weights: Tensors, seed: int) -> Mask:
        return random_mask(weights, self.density, self.distribution, seed)

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:  # noqa: ARG002
        return Memory()

    def update(self, at: Moment) -> Change:
        time = at.timing
        fraction = drop_fraction(
            self.decay, at.step - time.begin, end=time.end - time.begin, fraction=self.drop
        )
        counts = {name: part(fraction, n) for name, n in counted(at.mask).items()}
        kept = drop_smallest(at.kept(), at.mask, counts)
        return Change(grow_largest(_sizes(at.gradient(), at.mask), kept, counts))


def _sizes(gradient: Tensors, mask: Tensors) -> dict[str, Tensor]:
    return {name: gradient[name].abs() for name in mask}
