"""Rounds of iterative pruning in rows, patterns N:M and blocks: their walk, and one step of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from winnow.algorithms.rounds import Round, iterative, start_of
from winnow.allocation import check_least, check_rate
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.axes import Axes, inputs_of
from winnow.patterns.blocks import block_mask, block_sums, from_blocks
from winnow.patterns.cells import check_grain, keep_in_cells
from winnow.patterns.grains import Blocks, Grain, NofM
from winnow.pruning import prune_to
from winnow.shares import share_of


@dataclass(frozen=True)
class Competition:
    """Where weights of these shapes compete: in ``scope``, and within (or as) the grain, if any."""

    shapes: Mapping[str, Sequence[int]]
    axes: Axes
    grain: Grain | None
    scope: str

    def walk(
        self, *, rounds: int, rate: float, rates: Mapping[str, float] | None, rewind: str
    ) -> list[Round]:
        """The rounds of `rounds.iterative`; ``keep`` counts weights, inputs of each unit (rows),
        blocks, or how many of M stay. A pattern N:M is reached from M:M: a round takes
        round(rate · kept) of each group, one at least, and N stay.
        """
        if self.grain is not None:
            check_grain(self.grain, self.shapes, self.axes)
        if isinstance(self.grain, NofM):
            if rates:
                raise UserError(f"pattern {self.grain} holds in every layer: leave rates out")
            return [*_towards(self.grain, self.shapes, rounds, check_rate(rate), rewind)]
        scope = "layer" if self.scope == "row" else self.scope
        made = iterative(
            self.sizes, rounds=rounds, rate=rate, rates=rates, scope=scope, rewind=rewind
        )
        return [*made]

    @property
    def sizes(self) -> dict[str, int]:
        """What is counted of each weight."""
        if isinstance(self.grain, Blocks):
            return {n: math.prod(shape) // self.grain.size for n, shape in self.shapes.items()}
        if self.grain is not None:
            return {n: inputs_of(n, shape, self.axes) for n, shape in self.shapes.items()}
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    def check_least(self, step: Round, least: int) -> None:
        """UserError unless a round leaves every weight ``least`` numbers."""
        weights = {name: math.prod(shape) for name, shape in self.shapes.items()}
        if step.keep is None or self.grain is None:
            check_least(weights if step.keep is None else step.keep, weights, least)
        elif isinstance(self.grain, Blocks):
            check_least(step.keep, self.sizes, -(-least // self.grain.size))
        else:
            assert not isinstance(step.keep, int)
            each = self.grain.m if isinstance(self.grain, NofM) else 0
            kept = {n: weights[n] // (each or s) * step.keep[n] for n, s in self.sizes.items()}
            check_least(kept, weights, least)

    def prune(self, scores: Mapping[str, Tensor], step: Round, mask: Mask, least: int) -> Mask:
        """What a round leaves of a mask."""
        assert step.keep is not None
        if self.grain is None:
            return prune_to(scores, step.keep, mask, least)
        if isinstance(self.grain, Blocks):
            sums = block_sums(self.grain, scores, mask, self.axes)
            blocks = Mask(block_mask(self.grain, mask, self.axes))
            kept = prune_to(sums, step.keep, blocks, -(-least // self.grain.size))
            return Mask(from_blocks(self.grain, kept, self.shapes, self.axes))
        assert not isinstance(step.keep, int)
        return Mask(keep_in_cells(self.grain, scores, step.keep, mask, self.axes))


def _towards(
    pattern: NofM, names: Mapping[str, object], rounds: int, rate: float, rewind: str
) -> Iterator[Round]:
    start = start_of(rewind)
    if rounds < 0:
        raise UserError(f"rounds is {rounds}: give the number of prunings, 0 or more, e.g. 15")
    yield Round(0, None, "init", None)
    kept = pattern.m
    for index in range(1, rounds + 1):
        if kept == pattern.n:
            return
        kept = max(pattern.n, kept - max(share_of(rate, kept), 1))
        yield Round(index, index - 1, start, dict.fromkeys(names, kept))
