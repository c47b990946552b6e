"""A little job in search, and one on digits, for tests of mask searches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from dynamic_jobs import job as little_job

from winnow import score
from winnow.algorithms.search import make_search
from winnow.algorithms.search.driven import start_search
from winnow.data import load_images
from winnow.engine.base import Engine, Job, Split, TrainingData
from winnow.engine.search import mask_of
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.pruning import prune_to
from winnow.reparametrisation import SCORES
from winnow.state import State, fresh_state, load_weights

HIDDEN = ["hidden.0.weight", "hidden.1.weight"]


ALL = [*HIDDEN, "output.weight"]


def dense(job: Job) -> State:
    model = job.build()
    initialise(model, "glorot-normal", 7)
    return fresh_state(model)


def begun(name: str = "jackpot", mask: Mask | None = None, **options: Any) -> tuple[Job, State]:
    job = little_job()
    return start_search(make_search(name, **options), job, dense(job), seed=3, mask=mask)


def first_mask(job: Job, state: State) -> Mask:
    assert job.search is not None
    return mask_of(job.search, state.extras[SCORES])


def best(criterion: str, counts: dict[str, int], batch: Any, **options: Any) -> Mask:
    job = little_job()
    model = job.build()
    load_weights(model, dense(job))
    scores = score(model, criterion, batch=batch, loss_fn=F.cross_entropy, params=HIDDEN, **options)
    return prune_to(scores, counts)


def digits(method: Any, hidden: list[int], steps: int) -> Job:
    images = load_images("digits")
    splits = {
        "train": Split(images.train_x, images.train_y, torch.arange(len(images.train_y))),
        "test": Split(images.test_x, images.test_y, torch.arange(len(images.test_y))),
    }
    return Job(
        build=lambda: build("lenet-300-100", inputs=(1, 8, 8), classes=10, hidden=hidden),
        data=TrainingData(splits, images.mean, images.std),
        steps=steps,
        batch=60,
        last_batch="drop",
        optimizer=method.optimizer,
        schedule=method.schedule,
        seeds={"order": 1, "augment": 2, "dropout": 3},
    )


def run_search(engine: Engine, job: Job, state: State, *, to: int | None = None) -> State:
    """The state at iteration ``to`` of a search, still in search."""
    session = engine.open(job, state)
    assert session.advance(job.steps if to is None else to).diverged_at is None
    return session.state()
