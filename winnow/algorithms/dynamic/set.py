"""SET: drop the smallest weights, grow random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from winnow.algorithms.dynamic.exchange import counted, drop_smallest, grow_random, part
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
class SET:
    """Mocanu et al. 2018, "Scalable training of artificial neural networks with adaptive sparse
    connectivity inspired by network science", section "Sparse evolutionary training".

    At the end of each epoch but the last, each layer drops the fraction ζ of its weights that is
    nearest to zero and grows as many random ones among all that are not kept; what was just dropped
    may return, and then keeps its value. Grown weights and their optimizer slots start at 0.

    Defaults: every epoch, ζ = 0.3, Erdős–Rényi layers (equation 3; "erk" counts the kernel too),
    output layer dense.

    Departures: the paper takes ζ of the positive and ζ of the negative weights apart; here, as in
    the code of RigL and DSR, the ζ·n smallest |w|. The paper's code forgets the momenta of ALL
    weights at each update. DSR's code bars what was just dropped.
    """

    name: ClassVar[str] = "set"
    when: ClassVar[When] = "after"
    dense_slots: ClassVar[bool] = False
    protects: ClassVar[tuple[str, ...]] = ("output",)

    density: float = 0.1
    every: str = "1ep"
    begin: str = "0it"
    end: str | None = None
    drop: float = 0.3
    decay: str = "constant"
    distribution: str = "er"

    def __post_init__(self) -> None:
        check_fraction("drop", self.drop, 0.3)
        check_decay(self.decay)
        check_distribution(self.distribution)

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        return timed(
            "set", steps, per_epoch, every=self.every, begin=self.begin, end=self.end, share=1.0
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
        return Change(grow_random(kept, counts, at.seed, "set", at.step))
