"""How long missing runs will take: by a calibration, stored runs, or a glance at the engines."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import torch

from winnow.engine.auto import Auto, seconds
from winnow.engine.base import Job
from winnow.engine.calibration import Calibration, Cost, calibration_key
from winnow.engine.dense import DenseEngine
from winnow.engine.glance import glance, glance_at
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.stacked import StackedEngine
from winnow.engine.turns import Clock
from winnow.errors import UserError
from winnow.experiment.plan.plan import Plan, Planned
from winnow.experiment.runs import Run
from winnow.experiment.store.store import Found, Store
from winnow.experiment.train.choosing import (
    calibration_file,
    in_one_line,
    known,
    planned,
    taken,
)
from winnow.experiment.train.job import check_trainable
from winnow.experiment.train.needs import images_evaluated, planned_kept
from winnow.experiment.train.sampling import batch_share, sample

_OVERHEAD = 1.1  # what evaluating test images and at the end adds to training
_EACH_RUN = 0.03  # seconds before and after training: preparing it, writing its files (digits)
_MASKED = 0.1  # the density at which the dense engine is timed: most runs have a mask

_FIRST = "the first run here measures more and keeps it"
_NOT_COMPILED = (
    "the sparse engine is not compiled on this machine yet, which the first run does; at low "
    "densities it takes a fraction of this time"
)
_STACKED = "small networks train together in stacks, which takes less than one by one, as measured"

T = TypeVar("T")
Measure = Callable[[Job], T]
"""Measures, within seconds, what a job costs."""


@dataclass(frozen=True)
class Pace:
    """How fast the runs of a plan go.

    ``seconds``: identity → seconds of an iteration on one thread, evaluation included.
    ``engines``: identity → the name of what trains the run. ``basis``: what that follows from, in
    words. ``chosen``: what ``auto`` takes, in words; None where the recipe names the engine.
    ``bound``: why all this is the most that it takes, in words; None for an estimate.
    """

    seconds: Mapping[str, float]
    engines: Mapping[str, str]
    basis: str
    chosen: str | None
    bound: str | None = None


def look_at_both(job: Job) -> Calibration | None:
    """What dense and sparse cost at three densities; None if kernels had to be compiled first.

    Raises UserError: the sparse engine cannot train the job.
    """
    sparse = SparseEngine()
    if sparse.refuses(job) is None and not sparse.is_compiled(job):
        return None
    return glance(job, DenseEngine(), sparse, clock=_clock())


def look_at_dense(job: Job) -> Cost:
    """What the dense engine costs under a mask."""
    return glance_at(job, DenseEngine(), _MASKED, clock=_clock())


def _clock() -> Clock:
    """The processor's time, or the wall's: that of a GPU is none of this processor's."""
    return time.perf_counter if torch.cuda.is_available() else time.process_time


def remembered(look: Measure[T]) -> Measure[T]:
    """Measures each kind of work once: lines of a recipe often differ in what costs nothing."""
    seen: dict[str, T] = {}

    def looked(job: Job) -> T:
        key = calibration_key(job)
        if key not in seen:
            seen[key] = look(job)
        return seen[key]

    return looked


def why_no_pace(plan: Plan) -> str | None:
    """Why no step of a plan's runs can be timed here, or None: the package of the network is not
    installed.
    """
    try:
        check_trainable(next(iter(plan.runs.values())))
    except UserError as error:
        return str(error)
    return None


def pace_of(
    plan: Plan,
    store: Store,
    both: Measure[Calibration | None] = look_at_both,
    dense: Measure[Cost] = look_at_dense,
) -> Pace:
    """How fast a plan's runs will go, by the best that is known. Nothing is written or compiled.

    By the store's calibration, where ``auto`` has one. Else, where the sparse engine may train, by
    what ``both`` measures now, and the same rule as ``auto``. Stored runs of the same network, data
    and batch then set the pace. Where only dense trains, or sparse kernels are not compiled yet:
    the median of stored runs, else what ``dense`` measures now.
    """
    alike = _alike(plan, store)
    auto = known(plan, store) if plan.recipe.engine == "auto" else None
    chosen = in_one_line(plan, store, auto) if plan.recipe.engine == "auto" else None
    if auto is not None and auto.calibration is not None:
        basis = f"from calibration {calibration_file(store, auto.calibration)}"
        return _by_density(plan, alike, auto.calibration, basis, chosen)
    if auto is not None or plan.recipe.engine not in ("auto", SparseEngine.name):
        stacks = auto.stacks if auto else plan.recipe.engine == StackedEngine.name
        return _the_same_for_all(plan, alike, dense, chosen, _STACKED if stacks else None)
    measured, spent = _measured(both, plan)
    if measured is None:
        return _the_same_for_all(plan, alike, dense, chosen, _NOT_COMPILED)
    if chosen is not None:
        chosen = f"engine: auto would take {taken(plan, Auto(measured))}; {_FIRST}"
    return _by_density(plan, alike, measured, spent, chosen)


def _measured(look: Measure[T], plan: Plan) -> tuple[T, str]:
    began = time.monotonic()
    with torch.random.fork_rng(devices=[]):  # networks are built, whose weights nobody needs
        costs = look(sample(plan))
    return costs, f"measured now, on one core, in {time.monotonic() - began:.0f} s"


def _by_density(
    plan: Plan, alike: Sequence[Found], costs: Calibration, basis: str, chosen: str | None
) -> Pace:
    """What a calibration predicts, times what stored runs took of what it predicts for them."""
    auto = Auto(costs)
    engines: dict[str, str] = dict.fromkeys(plan.runs, plan.recipe.engine)
    if chosen is not None:
        engines = {identity: choice.engine for identity, choice in planned(plan, auto).items()}
    paces = [
        _took(f) / seconds(costs, _trained_by(f), f.result.kept, images_evaluated(f.run))
        for f in alike
    ]
    pace = statistics.median(paces) if paces else _OVERHEAD
    each = {
        identity: pace
        * seconds(costs, engines[identity], planned_kept(run, costs), images_evaluated(run))
        for identity, run in plan.runs.items()
    }
    if alike:
        basis = f"{basis}, at the pace of {_runs(alike)}"
    return Pace(each, engines, basis, chosen)


def _the_same_for_all(
    plan: Plan,
    alike: Sequence[Found],
    dense: Measure[Cost],
    chosen: str | None,
    bound: str | None,
) -> Pace:
    """What stored runs took, else what the dense engine takes, whatever the density."""
    if alike:
        took = dict.fromkeys(plan.runs, statistics.median(map(_took, alike)))
        engines = dict.fromkeys(plan.runs, _trained_by(alike[-1]))
        return Pace(took, engines, f"from {_runs(alike)}", chosen)
    cost, spent = _measured(dense, plan)
    step = batch_share(plan) * cost.step
    each = {
        identity: _OVERHEAD * (step + images_evaluated(run) * cost.image)
        for identity, run in plan.runs.items()
    }
    return Pace(each, dict.fromkeys(plan.runs, DenseEngine.name), spent, chosen, bound)


def _alike(plan: Plan, store: Store) -> list[Found]:
    """The stored runs of the same network, data, batch, update rule and engine."""
    kind = _kind(next(iter(plan.runs.values())))
    trained = [f for f in store.all() if f.run.end > f.run.begin and f.result.status == "done"]
    return [f for f in trained if _kind(f.run) == kind]


def _took(found: Found) -> float:
    return found.result.seconds / (found.run.end - found.run.begin)


def _trained_by(found: Found) -> str:
    """What trained a stored run."""
    return str(found.provenance.get("engine", "dense"))


def _runs(found: Sequence[Found]) -> str:
    return f"{len(found)} stored run{'' if len(found) == 1 else 's'}"


def _kind(run: Run) -> tuple[object, ...]:
    known = (run.model.name, run.model.hidden, run.model.width, run.model.dropout)
    model = (known, run.model.source, run.model.options)
    return run.data.name, run.data.size, model, run.batch, run.optimizer["name"], run.engine


def seconds_left(
    plan: Planned,
    status: Mapping[str, str],
    each: Mapping[str, float],
    jobs: int,
    again: Mapping[str, int] = MappingProxyType({}),
) -> float:
    """The time that the missing runs need on ``jobs`` workers.

    At least that of the longest chain of them, as each starts from the end of the one before.
    ``again``: the iterations of those that are finished, and of which more is to be recorded.
    """
    ends: dict[str, float] = {}
    total = 0.0
    for identity, run in plan.runs.items():  # parents first
        whole = _EACH_RUN + again.get(identity, iterations_of([run])) * each[identity]
        own = whole if status[identity] == "missing" else 0.0
        ends[identity] = own + max((ends[parent] for parent in run.parents), default=0.0)
        total += own
    return max(total / jobs, max(ends.values()))


def iterations_of(runs: Sequence[Run]) -> int:
    """The iterations of some runs together."""
    return sum(run.end - run.begin for run in runs)
