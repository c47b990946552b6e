"""Sanity controls of methods at initialisation: further arms, derived from the method's own runs.

They share its densities, order of data and budget; the mask of a ``shuffled`` or ``reinit`` control
comes from the scores of the method's own initial weights, as its own mask does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from winnow.algorithms import catalogue
from winnow.errors import UserError
from winnow.experiment.arms import Arm
from winnow.experiment.plan.kinds import search as searching
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.recipe.compare import CONTROLS, Compare, InitControls, Method
from winnow.experiment.runs import Run

_NONE = InitControls()


def asked(compare: Compare, method: Method) -> InitControls:
    """The controls of one method. UserError for those of a method that prunes later."""
    applies = catalogue.get(method.name).kind == "at initialisation"
    if method.controls is None:
        itself = method.name == "random"
        return compare.controls if applies and not itself else _NONE
    if not applies and method.controls != _NONE:
        raise UserError(
            f"controls of {method.arm}: shuffled, reinit and inverted check methods that prune at "
            "initialisation, and it prunes later: leave them out there"
        )
    return method.controls


def arms(compare: Compare) -> list[Arm]:
    """All arms of a comparison: a method's, then its controls'. UserError: a name stands twice."""
    found: list[Arm] = []
    controlled = False
    for method in compare.methods:
        own = asked(compare, method)
        found += searching.arms(method)
        found += [
            Arm(f"{method.arm}-{kind}", kind, method.arm, method.name)
            for kind in sorted(CONTROLS)  # the order of rows.csv
            if getattr(own, kind)
        ]
        controlled |= own != _NONE
    names = [arm.name for arm in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"{name} is a method's label and another's control: choose another label"
            )
    if compare.controls != _NONE and not controlled:
        raise UserError(
            "compare.controls are those of methods at initialisation, and none has any here: add "
            "one, e.g. snip, or leave controls out"
        )
    return found


def nodes(ex: Replicate, method: Method, index: int, run: Run) -> Iterator[Node]:
    """The points of a method's controls beside its own ``run``."""
    assert ex.recipe.compare is not None
    own, pruning = asked(ex.recipe.compare, method), run.pruning
    for draw in range(1, own.shuffled + 1):
        assert pruning is not None
        shuffled = replace(run, pruning=replace(pruning, shuffle=draw))
        yield ex.point(f"{method.arm}-shuffled", index, shuffled, draw)
    for draw in range(1, own.reinit + 1):
        yield ex.point(f"{method.arm}-reinit", index, replace(run, draw=draw), draw)
    if own.inverted:
        assert pruning is not None
        inverted = replace(run, pruning=replace(pruning, invert=True))
        yield ex.point(f"{method.arm}-inverted", index, inverted)
