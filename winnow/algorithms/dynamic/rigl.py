"""RigL: drop the smallest weights, grow where the gradient is largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from winnow.algorithms.dynamic.exchange import drop_smallest, grow_largest
from winnow.algorithms.dynamic.grained import in_blocks, out_of_blocks, regrow_largest
from winnow.algorithms.dynamic.method import Change, Moment, When
from winnow.algorithms.dynamic.rewiring import Patterned, check_drop, falling_counts
from winnow.patterns.grains import NofM, Rows


@dataclass(frozen=True)
class RigL(Patterned):
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
    extra_cost: ClassVar[str] = "with a dense gradient at updates"
    share: ClassVar[float] = 0.75

    every: str = "100it"
    distribution: str = "erk"
    drop: float = 0.3
    decay: str = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_drop(self.drop, self.decay, 0.3)

    @property
    def protects(self) -> tuple[str, ...]:
        return ("first",) if self.distribution == "uniform" else ()

    def update(self, at: Moment) -> Change:
        seen = in_blocks(at, self.grain)
        counts = falling_counts(seen, self.drop, self.decay)
        kept = drop_smallest(seen.kept(), seen.mask, counts)
        gradient = seen.gradient()
        sizes = {name: gradient[name].abs() for name in seen.mask}
        if isinstance(self.grain, Rows | NofM):
            return Change(regrow_largest(sizes, kept, at.mask, self.grain))
        return out_of_blocks(grow_largest(sizes, kept, counts), at, self.grain)
