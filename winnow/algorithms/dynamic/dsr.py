"""DSR: one adaptive threshold drops weights, layers grow in proportion to what survives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from winnow.algorithms.dynamic.exchange import counted, grow_random, narrowed, room, share_out
from winnow.algorithms.dynamic.method import Change, Memory, Moment
from winnow.algorithms.dynamic.rewiring import Rewiring, check_fraction
from winnow.algorithms.dynamic.timing import Timing
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.state import Tensors
from winnow.topk import keep_largest

_TOLERANCE = 0.1  # δ: how far the number of dropped weights may be off before the threshold moves
_DOUBLED = (0.125, 0.4, 0.7)  # of the training: epochs 25, 80 and 140 of 200


@dataclass(frozen=True)
class DSR(Rewiring):
    """Mostafa & Wang 2019, "Parameter efficient training of deep convolutional neural networks by
    dynamic sparse reparameterization", Algorithm 1.

    At each update all weights with |w| < H go, in all layers alike, and as many random ones are
    grown: a layer's share is proportional to the weights that it has left, and what was just
    dropped does not return. Then H is halved if more than (1 + δ)·N_p went, doubled if fewer than
    (1 − δ)·N_p. Grown weights and their optimizer slots start at 0.

    Defaults: H starts at 1e-3, δ = 0.1; the period of 100 iterations doubles after 12.5, 40 and
    70 % of the training, and updates end at 95 % (100, 200, 400, 800 iterations from epochs 0, 25,
    80, 140 to 190 of 200); first layer and output dense (the original leaves projection shortcuts
    dense too: name them in ``ignore``). That is 367 updates in 100,000 iterations; a short training
    needs a shorter period: with "20it", 300 iterations see four, with "5it" 22. N_p is the fraction
    ``replaced`` of the kept weights; the paper gives numbers for its networks, e.g. 20,000 for
    WRN-28-2, 14 % of what it keeps at density 0.1.

    Departures: a layer about to lose all its weights keeps the largest (the code: the first by
    index). Where the layers have no room for as many as were dropped, the largest of those stay.
    Shares are rounded by largest remainders, where the code hands the rest to a random layer.
    """

    name: ClassVar[str] = "dsr"
    share: ClassVar[float] = 0.95  # epoch 190 of 200
    least: ClassVar[int] = 1

    every: str = "100it"
    distribution: str = "uniform"
    threshold: float = 1e-3
    replaced: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("replaced", self.replaced, 0.1)
        if not self.threshold > 0:
            raise UserError(f"threshold is {self.threshold!r}: give a positive number, e.g. 1e-3")

    @property
    def protects(self) -> tuple[str, ...]:
        return ("first", "output")

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        doubled = tuple(round(share * steps) for share in _DOUBLED)
        return replace(super().timing(steps, per_epoch), doubled=doubled)

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:  # noqa: ARG002
        return Memory({"threshold": self.threshold})

    def update(self, at: Moment) -> Change:
        threshold = at.memory.scalars["threshold"]
        kept = drop_below(at.kept(), at.mask, threshold)
        left = counted(kept)
        active = sum(counted(at.mask).values())
        pruned = active - sum(left.values())
        growth = share_out(pruned, {name: float(n) for name, n in left.items()}, room(at.mask))
        moved = next_threshold(threshold, pruned, self.replaced * active)
        grown = grow_random(kept, growth, at.seed, self.name, at.step, barred=at.mask)
        return Change(grown, memory=Memory({"threshold": moved}))


def drop_below(values: Tensors, mask: Tensors, threshold: float) -> dict[str, Tensor]:
    """The mask without |w| < threshold, but for the largest of each layer, and no more dropped
    than could be grown elsewhere. ``values``: what is kept of each tensor, 1-d.
    """
    sizes = {name: values[name].abs() for name in mask}
    stays: dict[str, Tensor] = {}
    for name, size in sizes.items():
        stays[name] = size >= threshold
        if not bool(stays[name].any()):
            stays |= keep_largest({name: size}, min(1, len(size)))
    gone = {name: ~stay for name, stay in stays.items()}
    spared = sum(counted(gone).values()) - sum(room(mask).values())
    if spared > 0:
        back = keep_largest(sizes, spared, gone)
        stays = {name: stay | back[name] for name, stay in stays.items()}
    return {name: narrowed(keep, stays[name]) for name, keep in mask.items()}


def next_threshold(threshold: float, pruned: int, target: float) -> float:
    """The control law: halved when too many went, doubled when too few did."""
    if pruned > (1 + _TOLERANCE) * target:
        return threshold / 2
    return threshold * 2 if pruned < (1 - _TOLERANCE) * target else threshold
