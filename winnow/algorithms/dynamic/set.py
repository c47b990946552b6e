"""SET: drop the smallest weights, grow random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from winnow.algorithms.dynamic.exchange import drop_smallest, grow_random
from winnow.algorithms.dynamic.grained import in_blocks, out_of_blocks, regrow_random
from winnow.algorithms.dynamic.method import Change, Moment
from winnow.algorithms.dynamic.rewiring import Patterned, check_drop, falling_counts
from winnow.patterns.grains import NofM, Rows


@dataclass(frozen=True)
class SET(Patterned):
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

    every: str = "1ep"
    distribution: str = "er"
    drop: float = 0.3
    decay: str = "constant"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_drop(self.drop, self.decay, 0.3)

    @property
    def protects(self) -> tuple[str, ...]:
        return ("output",)

    def update(self, at: Moment) -> Change:
        seen = in_blocks(at, self.grain)
        counts = falling_counts(seen, self.drop, self.decay)
        kept = drop_smallest(seen.kept(), seen.mask, counts)
        stream = (at.seed, self.name, at.step)
        if isinstance(self.grain, Rows | NofM):
            return Change(regrow_random(kept, at.mask, self.grain, *stream))
        return out_of_blocks(grow_random(kept, counts, *stream), at, self.grain)
