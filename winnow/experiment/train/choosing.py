"""Which engine trains which run of a plan: `winnow.engine.auto` on a store's calibration."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.experiment.runs import Run
from winnow.experiment.store.store import Store
from winnow.experiment.train.seats import Seat, seats_of

if TYPE_CHECKING:
    from winnow.engine.auto import Auto, Choice
    from winnow.engine.base import Job, TrainingData
    from winnow.engine.calibration import Calibration
    from winnow.experiment.plan.plan import Plan
    from winnow.mask import Mask

_IN_FILES = "the images of {name} stay in files, and sparse takes those in memory alone"
_BATCH = 8  # images in files are large: on a processor a step is measured on so few of them
_DENSELY = "its method needs the gradients of removed weights all along"
_SEARCHES = "a mask search trains the scores of removed weights too"
_IMAGES = 5000  # at most, in the random training set that is measured
_FEW = 250  # iterations; measuring what engines cost takes more


def settle(plan: Plan, store: Store, say: Callable[[str], None]) -> Auto:
    """What ``auto`` goes by in a plan: the store's calibration, measured now if there is none.

    ``say`` is told before a measurement, which takes seconds. Raises OSError: the store takes no
    files.
    """
    import torch

    auto = known(plan, store)
    if auto is not None and auto.calibration is None:
        return auto
    with torch.random.fork_rng(devices=[]):  # networks are built, whose weights nobody needs
        return _settled(sample(plan), store, say)


def _settled(job: Job, store: Store, say: Callable[[str], None]) -> Auto:
    from winnow.engine import calibration
    from winnow.engine.auto import Auto
    from winnow.engine.dense import DenseEngine
    from winnow.engine.measure import measure
    from winnow.engine.sparse_cpu.engine import SparseEngine

    try:
        SparseEngine().prepare(job)
    except Exception as error:  # whatever a compiler may raise on a machine unknown to us
        return Auto(reason=f"the sparse engine's kernels cannot be compiled here ({error})")

    def measured() -> calibration.Calibration:
        say("engine: auto measures what engines cost here, once for this machine and store")
        return measure(job, DenseEngine("cpu"), SparseEngine)

    return Auto(calibration.calibrated(_folder(store), calibration.calibration_key(job), measured))


def known(plan: Plan, store: Store) -> Auto | None:
    """As `settle`, but measures nothing: None where no calibration is there yet."""
    import torch

    from winnow.engine import calibration
    from winnow.engine.auto import Auto

    if (auto := _of_files(plan)) is not None:
        return auto
    with torch.random.fork_rng(devices=[]):
        job = sample(plan)
        if (auto := _without_calibration(job)) is not None:
            return auto
        key = calibration.calibration_key(job)
        costs = calibration.read_calibration(_folder(store), key)
        return Auto(costs) if costs else _of_few_iterations(plan)


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

    data = _first(plan).data
    return Auto(reason=_IN_FILES.format(name=data.name)) if data.about.in_files else None


def _first(plan: Plan) -> Run:
    """The plan's dense run."""
    return next(iter(plan.runs.values()))


def _without_calibration(job: Job) -> Auto | None:
    """What ``auto`` goes by where nothing has to be measured, or None."""
    import torch

    from winnow.engine.auto import Auto
    from winnow.engine.sparse_cpu.engine import SparseEngine
    from winnow.engine.stacked import StackedEngine, worth_stacking

    if torch.cuda.is_available():
        if worth_stacking(job) and StackedEngine("cpu").refuses(job) is None:
            return Auto(reason="a GPU is here, which trains small networks together", stacks=True)
        return Auto(reason="a GPU is here, which trains dense networks")
    reason = SparseEngine().refuses(job)
    return Auto(reason=reason) if reason else None


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
    return chooser.choose(counts, images_evaluated(run))


def why_densely(run: Run) -> str | None:
    """Why the run's method trains on the dense engine alone, or None."""
    from winnow.experiment.train.start import method_of

    if run.search is not None:
        return _SEARCHES
    method = method_of(run)
    return _DENSELY if method is not None and method.dense_slots else None


def images_evaluated(run: Run) -> float:
    """How many images are evaluated for each training step.

    The test images of a learning curve are not counted: what is recorded changes no number.
    """
    return float(run.data.validation) / run.evaluate


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
    return auto.stack(*seat) or auto.choose(planned_kept(run, auto), images_evaluated(run))


def planned_kept(run: Run, auto: Auto) -> Mapping[str, float]:
    """How many weights each pruned layer keeps, as far as it is planned; empty for dense."""
    if run.keep is None or auto.calibration is None or _begins_dense(run):
        return {}
    if not isinstance(run.keep, int):
        return run.keep
    sizes = {name: auto.calibration.layers[name].weights for name in run.prunable}
    density = run.keep / sum(sizes.values())
    return {name: density * size for name, size in sizes.items()}


def in_one_line(plan: Plan, store: Store, auto: Auto | None) -> str:
    """What ``auto`` takes for how many runs of a plan, and by which file."""
    if auto is None:
        return "engine: auto chooses by a calibration, which the first run here makes"
    if auto.calibration is None:
        if not auto.stacks:
            return f"engine: auto takes dense for all {len(plan.runs)} runs: {auto.reason}"
        return f"engine: auto takes {taken(plan, auto)}: {auto.reason}"
    file = calibration_file(store, auto.calibration)
    return f"engine: auto takes {taken(plan, auto)}; calibration: {file}"


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


def _begins_dense(run: Run) -> bool:
    from winnow.algorithms.dynamic import DYNAMIC_METHODS

    return run.dynamic is not None and DYNAMIC_METHODS[run.dynamic.name].starts_dense


def _counts_are_planned(plan: Plan) -> bool:
    runs = plan.runs.values()
    return not any(isinstance(run.keep, int) and len(run.prunable) > 1 for run in runs)


def batch_share(plan: Plan) -> float:
    """How many times as large a batch of the plan is as that of its `sample`: 1 for images in
    memory.
    """
    run = _first(plan)
    return run.batch / _batch_measured(run) if run.data.about.in_files else 1.0


def _batch_measured(run: Run) -> int:
    """The images in a step that is measured, of a run whose images stay in files."""
    import torch

    return run.batch if torch.cuda.is_available() else min(run.batch, _BATCH)


def sample(plan: Plan) -> Job:
    """The work of a plan's runs on random images: its dense run, as only costs matter. Where data
    is one's own, on some of it, as networks may take no other numbers (of tokens).
    """
    from winnow.engine.base import Job
    from winnow.experiment.train.job import make_network

    run = _first(plan)
    about = run.data.about
    count = _batch_measured(run) if about.in_files else min(about.train_size, _IMAGES)
    data = _random_images(run, count) if run.data.own is None else _some_of_its_own(run, count)
    count = len(data.splits["train"].index)
    return Job(
        build=functools.partial(make_network, run),
        data=data,
        steps=run.steps,
        batch=min(run.batch, count),
        last_batch=run.last_batch,
        optimizer=run.optimizer,
        schedule=asdict(run.schedule),
        seeds={**dict.fromkeys(run.seeds, 0), "order": 0, "augment": 0},
        clip=run.clip,
    )


def _random_images(run: Run, count: int) -> TrainingData:
    """So many images of noise, of the shape of the run's."""
    import torch

    from winnow import rng
    from winnow.engine.base import Split
    from winnow.experiment.train.job import scaled_data

    about = run.data.about
    generator = rng.torch_generator(0, "calibration", "images")
    shape = (count, *about.inputs(run.data.size))
    x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    y = torch.randint(0, about.classes, (count,), generator=generator)
    return scaled_data(run.data, {"train": Split(x, y, torch.arange(count))})


def _some_of_its_own(run: Run, count: int) -> TrainingData:
    """The first training examples of the run's data, so many at most, in memory."""
    import torch

    from winnow.engine.base import Split
    from winnow.experiment.train.job import make_job

    data = make_job(run).data
    train = data.splits["train"]
    x, y = train.take(torch.arange(min(count, len(train.index))))
    return replace(data, splits={"train": Split(x, y, torch.arange(len(y)))})
