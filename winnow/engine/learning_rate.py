"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from winnow.engine.base import Job


def learning_rate(step: int, steps: int, base: float, schedule: Mapping[str, Any]) -> float:
    """The rate used by the update number ``step`` (from 0) of a run that ends at ``steps``.

    ``schedule``: ``name`` (constant, steps, cosine, linear, exponential), ``drops`` (iterations),
    ``factor``, ``every`` (iterations), ``to`` (a rate, 0 where left out), ``warmup`` (iterations).
    The warm-up is linear: the update number i of k uses i / k of the rate (Frankle & Carbin 2019,
    section 4: "linear learning rate warmup from 0"). All else is counted from step 0, warm-up
    included: drops; the cosine (Loshchilov & Hutter 2017, equation 5, to 0 without restarts); the
    line from the base to ``to``, of which update number t of T has 1 − t/T before it; and the
    exponential, a staircase: ``factor`` once more after each ``every`` iterations (Szegedy et al.
    2016, section 8: 0.94 every two epochs). Past ``steps`` (continued training) the rate stays at
    its last value.
    """
    step = min(step, steps - 1)
    warmup = schedule["warmup"]
    if step < warmup:
        return float(base * step / warmup)
    if schedule["name"] == "cosine":
        return base * (1 + math.cos(math.pi * step / steps)) / 2
    if schedule["name"] == "linear":
        end = float(schedule.get("to", 0.0))
        return end + (base - end) * (1 - step / steps)
    passed = sum(step >= drop for drop in schedule["drops"])
    if schedule["name"] == "exponential":
        passed = step // schedule["every"]
    return float(base * schedule["factor"] ** passed) if passed else base


def rate_at(job: Job, step: int) -> float:
    """The rate of a job's update number ``step``."""
    return learning_rate(step, job.steps, job.optimizer["lr"], job.schedule)
