"""The work of a plan's runs as a job on random images: what engines are measured on."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from winnow.experiment.runs import Run

if TYPE_CHECKING:
    from winnow.engine.base import Job, TrainingData
    from winnow.experiment.plan.plan import Plan

_BATCH = 8  # images in files are large: on a processor a step is measured on so few of them
_IMAGES = 5000  # at most, in the random training set that is measured


def first_run(plan: Plan) -> Run:
    """The plan's dense run."""
    return next(iter(plan.runs.values()))


def batch_share(plan: Plan) -> float:
    """How many times as large a batch of the plan is as that of its `sample`: 1 for images in
    memory.
    """
    run = first_run(plan)
    return run.batch / _batch_measured(run) if run.data.about.in_files else 1.0


def _batch_measured(run: Run) -> int:
    """The images in a step that is measured, of a run whose images stay in files."""
    import torch

    return run.batch if torch.cuda.is_available() else min(run.batch, _BATCH)


def sample(plan: Plan) -> Job:
    """The work of a plan's runs on random images: its dense run, as only costs matter. Where data
    is one's own, on some of it, as networks may take no other numbers (of tokens).
    """
    return sample_of(first_run(plan))


def sample_of(run: Run) -> Job:
    """As `sample`, of the dense run itself."""
    from winnow.engine.base import Job
    from winnow.experiment.train.job import NetworkOf

    about = run.data.about
    count = _batch_measured(run) if about.in_files else min(about.train_size, _IMAGES)
    data = _random_images(run, count) if run.data.own is None else _some_of_its_own(run, count)
    count = len(data.splits["train"].index)
    return Job(
        build=NetworkOf(run.data, run.model),
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
