"""The loop of every session: train piece by piece, count the losses, stop where one diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from winnow.engine.base import StepStats

Piece = Callable[[int], tuple[int, float]]
"""Trains a part of the way to an iteration and moves the session there.

Returns how many losses it has seen, and their sum. A sum that is not finite: the next step has
diverged, and the session stands before it.
"""


class Stepping(Protocol):
    """What stands at an iteration."""

    step: int


def advance_by(session: Stepping, piece: Piece, to: int) -> StepStats:
    """Train a session up to iteration ``to``, in as many pieces as it takes."""
    seen, total = 0, 0.0
    while session.step < to:
        count, loss = piece(to)
        if not math.isfinite(loss):
            return StepStats(session.step, math.nan, diverged_at=session.step + 1)
        seen += count
        total += loss
    return StepStats(session.step, total / seen if seen else math.nan, seen=seen)


def one_step(session: Stepping, update: Callable[[], float]) -> Piece:
    """Pieces of one step each. ``update`` makes one and returns its loss; if that is not finite, it
    has made none.
    """

    def piece(_: int) -> tuple[int, float]:
        loss = update()
        if math.isfinite(loss):
            session.step += 1
        return 1, loss

    return piece
