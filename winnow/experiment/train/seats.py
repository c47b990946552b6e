"""Which runs of a plan train in stacks, and where in them they sit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from winnow.engine.auto import Auto
    from winnow.experiment.plan.plan import Plan


class Seat(NamedTuple):
    """Where a run sits in a stack: its width, and the run's place in it."""

    width: int
    place: int


def seats_of(plan: Plan) -> dict[str, Seat]:
    """Identity → where the run sits, should it be stacked."""
    return {
        identity: Seat(group.width, place)
        for group in plan.groups
        for place, identity in enumerate(group.runs)
    }


def stacks(plan: Plan, auto: Auto | None) -> bool:
    """Whether runs of a plan train together. ``auto``: what `settle` gave, where the plan's engine
    is that.
    """
    from winnow.engine import make_engine
    from winnow.engine.base import Stacks

    if auto is not None:
        return auto.stacks
    return isinstance(make_engine(plan.recipe.engine), Stacks)
