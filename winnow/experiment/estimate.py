"""How long missing runs will take: from stored runs of the same kind, else a short measurement."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from winnow.experiment.graph import Run
from winnow.experiment.plan import Plan
from winnow.experiment.store import Found, Store

_MEASURE = 0.5  # seconds of measured training
_OVERHEAD = 1.1  # evaluation and files, measured on the digits recipe


def seconds_per_iteration(plan: Plan, store: Store) -> float:
    """Seconds for one iteration of the plan's dense run, evaluation included, on one thread.

    The median over the store's runs of the same network, data and batch; without any, a fraction
    of a second of real training (in this process, whose numbers are thrown away).
    """
    dense = next(iter(plan.runs.values()))
    known = [
        found.result.seconds / (found.run.end - found.run.begin)
        for found in store.all()
        if found.result.status == "done" and _kind(found.run) == _kind(dense)
    ]
    return statistics.median(known) if known else _measure(dense) * _OVERHEAD


def _kind(run: Run) -> tuple[object, ...]:
    model = tuple(sorted((k, str(v)) for k, v in run.model.items() if k != "init"))
    return run.data["name"], model, run.batch, run.optimizer["name"], run.engine


def seconds_left(plan: Plan, status: Mapping[str, str], each: float, jobs: int) -> float:
    """The time that the missing runs need on ``jobs`` workers."""
    return iterations_of([plan.runs[i] for i, s in status.items() if s == "missing"]) * each / jobs


def iterations_of(runs: Sequence[Run]) -> int:
    """The iterations of some runs together."""
    return sum(run.end - run.begin for run in runs)


def _measure(run: Run) -> float:
    import torch

    from winnow import engine
    from winnow.experiment.prepare import make_job, starting_state

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = starting_state(run, _no_parent)
        session = engine.get(run.engine).open([make_job(run)], [state])
        session.advance(run.begin + 1)  # allocations and first calls
        began, done = time.monotonic(), 0
        while time.monotonic() - began < _MEASURE and run.begin + 1 + done < run.end:
            done += 1
            session.advance(run.begin + 1 + done)
        return (time.monotonic() - began) / max(done, 1)
    finally:
        torch.set_num_threads(threads)


def _no_parent(identity: str) -> Found:
    raise AssertionError(f"a dense run has no parent {identity}")
