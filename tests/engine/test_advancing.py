"""The loop of every session."""

from __future__ import annotations

import math

import pytest

from winnow.engine.advancing import advance_by, one_step
from winnow.engine.base import StepStats


class Walker:
    def __init__(self, step=0):
        self.step = step


def test_pieces_count_by_what_they_have_seen():
    walker, asked = Walker(3), []

    def piece(to):
        asked.append((walker.step, to))
        walker.step = min(walker.step + 4, to)
        return (4, 8.0) if walker.step < to else (1, 12.0)

    assert advance_by(walker, piece, 8) == StepStats(8, 20.0 / 5, seen=5)
    assert asked == [(3, 8), (7, 8)]
    assert advance_by(walker, piece, 8).step == 8
    assert math.isnan(advance_by(walker, piece, 8).loss)
    assert len(asked) == 2


def test_a_piece_may_have_seen_no_loss():
    walker = Walker()

    def piece(to):
        walker.step = to
        return 0, 0.0

    assert math.isnan(advance_by(walker, piece, 5).loss)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_step_that_diverges_is_not_made(loss):
    walker, losses = Walker(), iter([1.0, 2.0, loss])
    stats = advance_by(walker, one_step(walker, lambda: next(losses)), 9)
    assert (stats.step, stats.diverged_at, walker.step) == (2, 3, 2)
    assert math.isnan(stats.loss)


def test_single_steps_have_their_mean():
    walker, losses = Walker(5), iter([1.0, 2.0, 6.0])
    assert advance_by(walker, one_step(walker, lambda: next(losses)), 8) == StepStats(
        8, 3.0, seen=3
    )
