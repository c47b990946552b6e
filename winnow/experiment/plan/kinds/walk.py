"""What an iterative method keeps after each pruning: at its densities, and in between by a rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from winnow.allocation import Keep
from winnow.errors import UserError
from winnow.experiment.plan.kinds.compared import ComparedMethod


class WalkStep(NamedTuple):
    """A pruning: what it keeps, and the number of its density (from 1), None in between."""

    keep: Keep
    number: int | None


def walk_of(method: ComparedMethod) -> tuple[WalkStep, ...]:
    """The prunings of a method, down its densities.

    Without a ``rate``, one for each density. With it, each removes that part of the weights that
    are left (of those that compete), as Frankle & Carbin 2019 prune, and the last before a density
    no more than leads to it: its count is exact. UserError for what is no such rate.
    """
    rate = method.options.get("rate")
    if rate is not None:
        _check_rate(method, rate)
    return tuple(_walk(method, rate))


def _walk(method: ComparedMethod, rate: float | None) -> Iterator[WalkStep]:
    share, left = 1.0, sum(method.sizes.values())
    for number, density in enumerate(method.densities, 1):
        goal = method.keep(density)
        while rate is not None:
            share *= 1 - rate
            keep = method.keep_of_share(share)
            if _count(keep) <= _count(goal):
                break
            if _count(keep) == left:
                raise UserError(
                    f"rate of {method.arm.name} is {rate:g}, which removes none of {left} weights: "
                    "choose a larger one"
                )
            left = _count(keep)
            yield WalkStep(keep, None)
        yield WalkStep(goal, number)
        share, left = method.share(density), _count(goal)


def _count(keep: Keep) -> int:
    return keep if isinstance(keep, int) else sum(keep.values())


def _check_rate(method: ComparedMethod, rate: object) -> None:
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not number or not 0 < float(str(rate)) < 1:
        raise UserError(
            f"rate of {method.arm.name} is {rate!r}: give the part of the weights left that a "
            "round removes, above 0 and below 1, e.g. 0.2"
        )
