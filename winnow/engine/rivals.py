"""Measure engines whose steps cost the same at every density: compiled, and stacks on a GPU.

They are added to a calibration where they may pay, as what they cost to try is no trifle: a
compiler takes seconds to a minute. Their steps are timed in turns with the dense engine's, and kept
in the time that its steps took when the calibration was made.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from winnow.engine.base import Engine, Job, Session, Stacks
from winnow.engine.calibration import Calibration, Cost, Other
from winnow.engine.measure import evaluations, harmless, random_state, with_images
from winnow.engine.turns import Repeat, in_turns, one_thread, steps_of
from winnow.state import State

_TURN = 0.02  # seconds
_IMAGES = 1000  # evaluated at once, where that is quick
_SLOW = 0.025  # seconds of a step
_DENSELY = "trained by the dense engine"  # how a compiled engine notes that it could not compile


def with_compiled(
    job: Job, known: Calibration, dense: Engine, compiled: Engine, seconds: float = 0.2
) -> Calibration:
    """A calibration that also knows what an engine costs that compiles its step when it begins.

    Where it trains densely for want of a compiler, its note says why in ``cannot``.
    """
    job = harmless(job)
    with one_thread():
        state = random_state(job, {}, 1.0)
        began = time.perf_counter()
        session = compiled.open(job, state)
        session.advance(state.step + 1)
        opening = time.perf_counter() - began
        if failed := [note for note in compiled.notes if note.startswith(_DENSELY)]:
            return _without(known, compiled.name, failed[0])
        step = _times_dense(job, state, dense, _further(session, state.step + 1), seconds)
        shown = with_images(job, _IMAGES if _dense(known).step < _SLOW else job.batch)
        sides = {"dense": evaluations(dense, shown, state), "": evaluations(compiled, shown, state)}
        image = _ratio(in_turns(sides, seconds / 3, _TURN))
    base = _dense(known)
    return _with(known, compiled.name, Other(opening, Cost(step * base.step, image * base.image)))


def with_stacked(
    job: Job, known: Calibration, dense: Engine, stacked: Stacks, width: int, seconds: float = 0.2
) -> Calibration:
    """A calibration that also knows what a step costs in a stack of ``width``, for each network.

    Evaluation is counted as the dense engine's, which it does not exceed.
    """
    job = harmless(job)
    with one_thread():
        state = random_state(job, {}, 1.0)
        rows = dict.fromkeys(range(width), job)
        if reason := stacked.stackable(list(rows.values())):
            return _without(known, "stacked", reason)
        sessions = stacked.open_many(rows, dict.fromkeys(rows, state), width)
        whole = _times_dense(job, state, dense, _further(sessions[0], state.step), seconds)
    base = _dense(known)
    cost = Cost(whole * base.step / width, base.image)
    return _with(known, "stacked", Other(0.0, cost, width))


def _further(session: Session, reached: int) -> Repeat:
    """Trains so many further iterations of a session."""

    def advance(count: int) -> None:
        nonlocal reached
        reached += count
        session.advance(reached)

    return advance


def _times_dense(
    job: Job, state: State, dense: Engine, rival: Callable[[int], object], seconds: float
) -> float:
    """A step's time by the dense engine's, in turns."""
    return _ratio(in_turns({"dense": steps_of(dense, job, state), "": rival}, seconds, _TURN))


def _ratio(times: Mapping[str, list[float]]) -> float:
    return min(times[""]) / min(times["dense"])


def _dense(known: Calibration) -> Cost:
    """What the dense engine costs, as `winnow.engine.auto` reckons."""
    rungs = [rung.dense for rung in known.rungs]
    return Cost(
        statistics.median(one.step for one in rungs), statistics.median(one.image for one in rungs)
    )


def _with(known: Calibration, name: str, other: Other) -> Calibration:
    return replace(known, others={**known.others, name: other})


def _without(known: Calibration, name: str, reason: str) -> Calibration:
    return replace(known, cannot={**known.cannot, name: reason})
