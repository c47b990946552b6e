"""How long missing runs will take: from stored runs of the same kind, else a short measurement."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from winnow.engine.auto import Auto, seconds
from winnow.engine.calibration import Calibration
from winnow.experiment.plan.plan import Plan
from winnow.experiment.runs import Run
from winnow.experiment.store.store import Found, Store
from winnow.experiment.train.choosing import images_evaluated, kept, planned

_MEASURE = 0.5  # seconds of measured training
_OVERHEAD = 1.1  # evaluation and files, measured on the digits recipe


def seconds_per_iteration(plan: Plan, store: Store, auto: Auto | None) -> dict[str, float]:
    """Identity → seconds for one iteration on one thread, evaluation included.

    By the calibration of ``auto``, where there is one, at the pace of stored runs of the same
    network, data and batch; else for all runs what those took (the median); without any stored, a
    fraction of a second of real training (in this process, whose numbers are thrown away).
    """
    dense = next(iter(plan.runs.values()))
    known = [f for f in store.all() if f.result.status == "done" and _kind(f.run) == _kind(dense)]
    if auto is not None and auto.calibration is not None:
        return _calibrated(plan, auto, auto.calibration, known)
    took = [_took(found) for found in known]
    each = statistics.median(took) if took else _measure(dense) * _OVERHEAD
    return dict.fromkeys(plan.runs, each)


def _took(found: Found) -> float:
    return found.result.seconds / (found.run.end - found.run.begin)


def _calibrated(
    plan: Plan, auto: Auto, calibration: Calibration, known: Sequence[Found]
) -> dict[str, float]:
    """What the calibration predicts, times what stored runs took of what it predicts for them."""
    paces = [
        _took(f) / seconds(calibration, _engine(f), f.result.kept, images_evaluated(f.run))
        for f in known
    ]
    pace = statistics.median(paces) if paces else _OVERHEAD
    return {
        identity: pace * seconds(calibration, choice.engine, kept(run, auto), images_evaluated(run))
        for (identity, run), choice in zip(
            plan.runs.items(), planned(plan, auto).values(), strict=True
        )
    }


def _engine(found: Found) -> str:
    """What trained a stored run."""
    return str(found.provenance.get("engine", "dense"))


def _kind(run: Run) -> tuple[object, ...]:
    model = (run.model.name, run.model.hidden, run.model.width, run.model.dropout)
    return run.data.name, model, run.batch, run.optimizer["name"], run.engine


def seconds_left(
    plan: Plan, status: Mapping[str, str], each: Mapping[str, float], jobs: int
) -> float:
    """The time that the missing runs need on ``jobs`` workers."""
    missing = [identity for identity, s in status.items() if s == "missing"]
    return sum(iterations_of([plan.runs[i]]) * each[i] for i in missing) / jobs


def iterations_of(runs: Sequence[Run]) -> int:
    """The iterations of some runs together."""
    return sum(run.end - run.begin for run in runs)


def _measure(run: Run) -> float:
    import torch

    from winnow import engine
    from winnow.experiment.train.prepare import make_job, starting_state

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = starting_state(run, _no_parent)
        session = engine.make_engine(run.engine).open(make_job(run), state)
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
