"""Which engine trains which run of a plan: `winnow.engine.auto` on a store's calibration."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.experiment.runs import Run
from winnow.experiment.store.store import Store
from winnow.experiment.train.needs import (
    images_evaluated,
    iterations_under_one_mask,
    planned_kept,
    why_densely,
)
from winnow.experiment.train.others import gpu_here, has_long_runs, lacking, no_compiler, tried
from winnow.experiment.train.sampling import first_run, sample
from winnow.experiment.train.seats import Seat, seats_of

if TYPE_CHECKING:
    from winnow.engine.auto import Auto, Choice
    from winnow.engine.base import Job
    from winnow.engine.calibration import Calibration
    from winnow.experiment.plan.plan import Plan
    from winnow.mask import Mask

_IN_FILES = "the images of {name} stay in files, and sparse takes those in memory alone"
_FEW = 250  # iterations; measuring what engines cost takes more


def settle(plan: Plan, store: Store, say: Callable[[str], None]) -> Auto:
    """What ``auto`` goes by in a plan: the store's calibration, measured now as far as it is not
    there.

    ``say`` is told before a measurement, which takes seconds. Raises OSError: the store takes no
    files.
    """
    import torch

    auto = known(plan, store)
    if auto is not None and auto.calibration is None:
        return auto
    with torch.random.fork_rng(devices=[]):  # networks are built, whose weights nobody needs
        return _settled(plan, store, say)


def _settled(plan: Plan, store: Store, say: Callable[[str], None]) -> Auto:
    from winnow.engine import calibration
    from winnow.engine.auto import Auto
    from winnow.engine.dense import DenseEngine
    from winnow.engine.measure import measure
    from winnow.engine.sparse_cpu.engine import SparseEngine

    job, gpu = sample(plan), gpu_here()
    try:
        SparseEngine().prepare(job)
    except Exception as error:  # whatever a compiler may raise on a machine unknown to us
        return Auto(reason=f"the sparse engine's kernels cannot be compiled here ({error})")
    dense = DenseEngine("cuda" if gpu else "cpu")

    def measured() -> Calibration:
        say("engine: auto measures what engines cost here, once for this machine and store")
        return measure(job, dense, SparseEngine, gpu=gpu)

    def more(known: Calibration) -> Calibration:
        for name in lacking(plan, job, known):
            say(f"engine: auto tries what {name} costs here, once for this machine and store")
            known = tried(name, plan, job, known, dense)
        return known

    key = calibration.calibration_key(job, gpu)
    found = calibration.calibrated(_folder(store), key, measured)
    found = calibration.extended(
        _folder(store), found, lambda one: bool(lacking(plan, job, one)), more
    )
    return _by(plan, found)


def known(plan: Plan, store: Store) -> Auto | None:
    """As `settle`, but measures nothing: None where something is still to be measured."""
    import torch

    from winnow.engine import calibration

    if (auto := _of_files(plan)) is not None:
        return auto
    with torch.random.fork_rng(devices=[]):
        job = sample(plan)
        if (auto := _without_calibration(plan, job)) is not None:
            return auto
        key = calibration.calibration_key(job, gpu_here())
        costs = calibration.read_calibration(_folder(store), key)
        if costs is None:
            return _of_few_iterations(plan)
        return None if lacking(plan, job, costs) else _by(plan, costs)


def _of_few_iterations(plan: Plan) -> Auto | None:
    """What ``auto`` goes by where all runs together are shorter than a measurement, or None."""
    from winnow.engine.auto import Auto

    total = sum(run.end - run.begin for run in plan.runs.values())
    if total >= _FEW:
        return None
    return Auto(reason=f"its {total} iterations are fewer than measuring engines takes")


def _folder(store: Store) -> Path:
    return store.path / "calibration"


def _of_files(plan: Plan) -> Auto | None:
    """What ``auto`` goes by where images stay in files, or None."""
    from winnow.engine.auto import Auto

    data = first_run(plan).data
    return Auto(reason=_IN_FILES.format(name=data.name)) if data.about.in_files else None


def _without_calibration(plan: Plan, job: Job) -> Auto | None:
    """What ``auto`` goes by where there is nothing to choose from, or None."""
    from winnow.engine.auto import MANY, Auto
    from winnow.engine.sparse_cpu.engine import SparseEngine

    if gpu_here() is not None:
        return None
    reason = SparseEngine().refuses(job)
    longest = max(map(iterations_under_one_mask, plan.runs.values()))
    compiles = longest >= MANY and no_compiler() is None
    return Auto(reason=reason) if reason and not compiles else None


def _by(plan: Plan, costs: Calibration) -> Auto:
    """What ``auto`` goes by with a calibration that lacks nothing."""
    from winnow.engine.auto import Auto, seconds, stacks_pay

    lost = {"sparse": costs.cannot.get("sparse")}
    if has_long_runs(plan, costs):
        lost["compiled"] = costs.cannot.get("compiled") or no_compiler()
    auto = Auto(costs, "; ".join(f"without {name}: {why}" for name, why in lost.items() if why))
    if "stacked" not in costs.others:
        return auto
    lengths = {identity: run.end - run.begin for identity, run in plan.runs.items()}
    wide = [group for group in plan.groups if group.width > 1]
    choices = planned(plan, auto)
    together = sum(lengths[group.runs[0]] for group in wide)
    alone = sum(
        lengths[i] * seconds(costs, choices[i].engine, planned_kept(plan.runs[i], costs))
        for group in wide
        for i in group.runs
    )
    return replace(auto, stacks=stacks_pay(costs, together, alone))


def choose_engine(
    run: Run,
    job: Job,
    mask: Callable[[], Mask | None],
    checkpoint: Path,
    auto: Mapping[str, Any] | None,
    seat: Seat | None = None,
) -> Choice:
    """What trains a run, or goes on training it: what its checkpoint says, else what auto chooses.

    ``auto``: what `settle` gave, as plain values. ``seat``: the run's in the plan's stacks; once
    begun, it keeps the one that it has.
    """
    from winnow.engine.auto import Auto, Choice, explicit, honoured
    from winnow.experiment.train.checkpoint import begun_with

    begun = Choice.load(begun_with(checkpoint)) if checkpoint.exists() else None
    if run.engine != "auto":
        if begun is None:
            return explicit(run.engine, *(seat or ()))
        return explicit(run.engine, begun.width or 1, begun.place or 0)
    if reason := why_densely(run):
        return Choice("dense", note=reason)
    if begun is not None:
        choice = honoured(begun, job)
        if choice != begun:
            print(f"note: {run.folder}: {choice.note}", file=sys.stderr)
        return choice
    chooser = Auto.load(auto) if auto else Auto()
    if seat and (stacked := chooser.stack(*seat)):
        return stacked
    own = mask()
    counts = {name: int(keep.sum()) for name, keep in own.items()} if own else {}
    return chooser.choose(counts, images_evaluated(run), iterations_under_one_mask(run))


def planned(plan: Plan, auto: Auto) -> dict[str, Choice]:
    """Identity → what will train the run.

    Where weights of all layers compete, nobody knows yet how many each layer will keep: then as if
    all layers were equally dense.
    """
    seats = seats_of(plan)
    return {identity: _foreseen(run, auto, seats[identity]) for identity, run in plan.runs.items()}


def _foreseen(run: Run, auto: Auto, seat: Seat) -> Choice:
    from winnow.engine.auto import Choice

    if reason := why_densely(run):
        return Choice("dense", note=reason)
    if stacked := auto.stack(*seat):
        return stacked
    kept = planned_kept(run, auto.calibration) if auto.calibration else {}
    return auto.choose(kept, images_evaluated(run), iterations_under_one_mask(run))


def in_one_line(plan: Plan, store: Store, auto: Auto | None) -> str:
    """What ``auto`` takes for how many runs of a plan, and by which file."""
    if auto is None:
        return "engine: auto chooses by a calibration, which the first run here makes"
    if auto.calibration is None:
        if not auto.stacks:
            return f"engine: auto takes dense for all {len(plan.runs)} runs: {auto.reason}"
        return f"engine: auto takes {taken(plan, auto)}: {auto.reason}"
    file = calibration_file(store, auto.calibration)
    besides = f"; {auto.reason}" if auto.reason else ""
    return f"engine: auto takes {taken(plan, auto)}; calibration: {file}{besides}"


def taken(plan: Plan, auto: Auto) -> str:
    """What is taken for how many runs of a plan."""
    counted = Counter(
        f"{c.engine} with layers in torch" if c.torch else c.engine
        for c in planned(plan, auto).values()
    )
    counts = ", ".join(f"{name} for {counted[name]}" for name in sorted(counted))
    if auto.calibration is None:
        return f"{counts} of {len(plan.runs)} runs"
    guess = "" if _counts_are_planned(plan) else ", as far as masks can be foreseen"
    return f"{counts} of {len(plan.runs)} runs{guess}"


def calibration_file(store: Store, calibration: Calibration) -> Path:
    """Where a store keeps a calibration."""
    from winnow.engine.calibration import calibration_path

    return calibration_path(_folder(store), calibration.key)


def _counts_are_planned(plan: Plan) -> bool:
    runs = plan.runs.values()
    return not any(isinstance(run.keep, int) and len(run.prunable) > 1 for run in runs)
