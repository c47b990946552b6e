"""Gradual magnitude pruning: the smallest weights go along a cubic schedule, and stay away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from winnow.algorithms.dynamic.exchange import narrowed
from winnow.algorithms.dynamic.grained import spread_out
from winnow.algorithms.dynamic.method import Change, Memory, Moment, When
from winnow.algorithms.dynamic.start import check_density_of
from winnow.algorithms.dynamic.timing import Timing, timed
from winnow.allocation import check_density, check_scope, keep_for_density
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.cells import check_grain
from winnow.patterns.grains import Blocks, Grain, NofM, grain_of
from winnow.pruning import Goal, prune_to, prune_within
from winnow.schedule import cubic
from winnow.state import Tensors


@dataclass(frozen=True)
class Gradual:
    """Zhu & Gupta 2017, "To prune, or not to prune: exploring the efficacy of pruning for model
    compression", equation 1.

    From ``begin`` to ``end``, every Δt iterations, the smallest |w| go until the density is
    final + (initial − final)(1 − (t − begin)/(end − begin))³; the last pruning, at ``end``, is
    exact. Before ``begin`` the network is dense.

    Defaults: from the start to three quarters of the training, so that the pruned network trains
    on; every 100 iterations (the paper: 100 to 1,000), from density 1, the same density in every
    layer ("uniform"; other scopes, ``pattern`` and ``block`` are those of `winnow.prune`). Of each
    M of a pattern N:M round(M · density) stay meanwhile, and never fewer than N.

    Departure: TensorFlow's code keeps the values of removed weights, so that one can return; here
    what is gone stays gone (masks only shrink).
    """

    name: ClassVar[str] = "gradual"
    when: ClassVar[When] = "after"
    dense_slots: ClassVar[bool] = False
    starts_dense: ClassVar[bool] = True
    scoped: ClassVar[bool] = True
    extra_cost: ClassVar[str] = "dense at first"
    protects: ClassVar[tuple[str, ...]] = ()

    density: float = 0.1
    every: str = "100it"
    begin: str = "0it"
    end: str | None = None
    initial: float = 1.0
    scope: str = "uniform"
    pattern: str | None = None
    block: Sequence[int] | None = None

    def __post_init__(self) -> None:
        check_density(self.density)
        check_density(self.initial)
        check_scope(self.scope)
        if isinstance(self.grain, NofM):
            check_density_of(self.grain, self.density)
        if self.density > self.initial:
            raise UserError(
                f"density {self.density:g} is above initial {self.initial:g}: gradual pruning only "
                f"removes; reachable densities are 0 to {self.initial:g}"
            )

    @property
    def grain(self) -> Grain | None:
        """What holds after every update."""
        return grain_of(self.scope, self.pattern, self.block)

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        time = timed(
            self.name, steps, per_epoch,
            every=self.every, begin=self.begin, end=self.end, share=0.75,
        )  # fmt: skip
        if not time.begin < time.end <= steps:
            raise UserError(
                f"gradual prunes from iteration {time.begin} to {time.end} of {steps}: it must "
                "begin before its end, and end within the training, to reach its density"
            )
        return replace(time, last=time.end)

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        grain, together = self.grain, 1
        if grain is not None:
            check_grain(grain, shapes, {})
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        if isinstance(grain, NofM):
            return sum(size // grain.m * grain.n for size in sizes.values())
        if isinstance(grain, Blocks):
            together = grain.size
        blocks = {name: size // together for name, size in sizes.items()}
        keep = keep_for_density(shapes, blocks, self.density, self.scope, together)
        return together * (keep if isinstance(keep, int) else sum(keep.values()))

    def start(self, weights: Tensors, seed: int) -> Mask:  # noqa: ARG002
        """Nothing is gone at first; at ``begin`` 0 with ``initial`` < 1 the smallest |w|."""
        dense = Mask.dense(weights)
        if self.begin not in ("0it", "0ep") or self.initial == 1:
            return dense
        every = {name: weight.reshape(-1) for name, weight in weights.items()}
        return prune_kept(every, dense, self.initial, self.scope, self.grain)

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:  # noqa: ARG002
        return Memory()

    def update(self, at: Moment) -> Change:
        density = cubic(
            at.step,
            start=at.timing.begin,
            end=at.timing.end,
            initial=self.initial,
            final=self.density,
        )
        return Change(prune_kept(at.kept(), Mask(at.mask), density, self.scope, self.grain))


def prune_kept(
    values: Tensors, mask: Mask, density: float, scope: str, grain: Grain | None = None
) -> Mask:
    """What a density leaves of a mask: its largest |w|, none that it removed.

    ``values``: what is kept of each tensor, 1-d. ``grain``: within what weights compete, or what
    goes together.
    """
    if grain is not None:
        dense = {name: spread_out(values[name].abs(), keep) for name, keep in mask.items()}
        goal = Goal(density, None, scope)
        if isinstance(grain, NofM):
            grain = NofM(max(round(grain.m * density), grain.n), grain.m)
            goal = Goal(None, None, scope)
        return prune_within(dense, goal, grain, mask, {})
    shapes = {name: tuple(keep.shape) for name, keep in mask.items()}
    keep = keep_for_density(shapes, mask.kept_per_layer, density, scope)
    stays = prune_to({name: values[name].abs() for name in mask}, keep)
    return Mask({name: narrowed(bits, stays[name]) for name, bits in mask.items()})
