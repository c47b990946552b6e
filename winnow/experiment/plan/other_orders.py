"""Controls whose data come in other orders: the ticket's, and those of a random network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from winnow import rng
from winnow.algorithms.rounds import Round
from winnow.allocation import Keep
from winnow.experiment.arms import ORDER, RANDOM_ORDER, Arm
from winnow.experiment.recipe.prune import Controls
from winnow.experiment.runs import Run


def other_orders(asked: Controls, ticket: Run) -> Iterator[tuple[Arm, Run, int]]:
    """Arm, run and draw: the ticket, and the first random network of its layer densities, from the
    ticket's weights, under the same other orders.
    """
    assert ticket.pruning is not None
    random = replace(ticket, pruning=replace(ticket.pruning, shuffle=1))
    for arm, run, count in (
        (ORDER, ticket, asked.order),
        (RANDOM_ORDER, random, asked.random_order),
    ):
        for draw in range(1, count + 1):
            order = rng.torch_seed(ticket.seeds["order"], "other order", draw)
            yield arm, replace(run, seeds={**ticket.seeds, "order": order}), draw


def rounds_at(walk: Iterable[Round], densities: Sequence[float], weights: int) -> frozenset[int]:
    """The rounds of a walk whose densities, of so many ``weights``, are nearest in logarithm to
    some. Empty without rounds that keep anything.
    """
    kept = {step.index: _count(step.keep) for step in walk if step.keep is not None}
    logs = {index: math.log(count / weights) for index, count in kept.items() if count}
    return frozenset(
        min(logs, key=lambda index: abs(logs[index] - math.log(density)))
        for density in (densities if logs else ())
    )


def _count(keep: Keep) -> int:
    return keep if isinstance(keep, int) else sum(keep.values())
