"""Costs at a glance: measurements of a second or a few, for estimates alone.

`winnow.engine.measure` times both engines in turns at six densities, and layer by layer where that
matters: engines are chosen by that. Here are three densities, and of slow steps two of each kind.
Nothing of it is kept in a file.
"""

from __future__ import annotations

import time

from winnow.engine.base import Engine, Job
from winnow.engine.calibration import Calibration, Cost, Rung
from winnow.engine.measure import evaluations, harmless, layers_of, random_state, with_images
from winnow.engine.turns import Clock, Repeat, in_turns, machine, one_thread, seconds_for, steps_of

_LOW, _LOWER = 0.1, 0.02  # densities; the third is 1
_SLOW = 0.05  # seconds of a step: from there on two are timed, and the rest is reckoned
_FORWARD = 1 / 3  # of the multiplications of a training step: what evaluating its batch needs
_IMAGES = 1000  # evaluated at once, as the dense engine does
_TURN = 0.02  # seconds
_SECONDS = 0.1


def glance(
    job: Job,
    dense: Engine,
    sparse: Engine,
    seconds: float = _SECONDS,
    clock: Clock = time.process_time,
) -> Calibration:
    """What both engines cost at the densities 1, 0.1 and 0.02.

    The dense engine is timed once, under a mask. Where steps are slow, the sparse engine at density
    1 is the line through the two others. ``seconds`` for each where steps are quick. ``clock``: the
    processor's time, as on a busy machine the wall's has other programs in it.
    """
    one = glance_at(job, dense, _LOW, seconds, clock)
    low, lower = (glance_at(job, sparse, d, seconds, clock) for d in (_LOW, _LOWER))
    slow = max(one.step, low.step) > _SLOW
    whole = _extended(low, lower) if slow else glance_at(job, sparse, 1.0, seconds, clock)
    rungs = ((1.0, whole), (_LOW, low), (_LOWER, lower))
    return Calibration(
        "", machine(), tuple(Rung(d, one, cost) for d, cost in rungs), layers_of(job), {}
    )


def glance_at(
    job: Job,
    engine: Engine,
    density: float,
    seconds: float = _SECONDS,
    clock: Clock = time.process_time,
) -> Cost:
    """What one engine costs at a density of all layers, each number the least of several."""
    job = harmless(job)
    with one_thread():
        state = random_state(job, {}, density)
        step = _least(steps_of(engine, job, state), seconds, clock)
        if step > _SLOW:
            return Cost(step, _FORWARD * step / job.batch)
        images = _least(evaluations(engine, with_images(job, _IMAGES), state), seconds, clock)
    return Cost(step, images / _IMAGES)


def _least(repeat: Repeat, seconds: float, clock: Clock) -> float:
    """Seconds for one repetition: the least of several, as whatever else runs only adds time."""
    first = seconds_for(repeat, 1, clock)  # allocations and first calls are in it
    if first > _SLOW and (second := seconds_for(repeat, 1, clock)) > _SLOW:
        return min(first, second)
    (times,) = in_turns({"": repeat}, seconds, _TURN, clock=clock).values()
    return min(times)


def _extended(low: Cost, lower: Cost) -> Cost:
    """The line through two densities at 1: the time of a step is a + b·density."""
    share = (1 - _LOWER) / (_LOW - _LOWER)
    step = lower.step + share * (low.step - lower.step)
    return Cost(step, lower.image + share * (low.image - lower.image))
