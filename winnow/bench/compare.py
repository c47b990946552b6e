"""Step times against density: sides in turns, one thread, medians and ratios."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from winnow import models, rng
from winnow.bench import sides as rivals
from winnow.data.facts import facts
from winnow.engine.base import Job, Split, TrainingData
from winnow.engine.measure import random_state
from winnow.engine.turns import in_turns, one_thread
from winnow.errors import UserError, unknown
from winnow.experiment.recipe.train import Optimizer

DENSITIES = (1.0, 0.8, 0.5, 0.2, 0.1, 0.05, 0.02)
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw")
_IMAGES = 5000
_RATE = 1e-6  # so small that random labels never make a network diverge
_TURN = 0.06  # seconds


@dataclass(frozen=True)
class Work:
    """What a step is: a network of `winnow.models` on random images of a dataset's shape."""

    network: str = "lenet-300-100"
    data: str = "mnist"
    batch: int = 60
    optimizer: str = "adam"

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.network}-{self.data}-{self.batch}-{self.optimizer}"


@dataclass(frozen=True)
class BenchRow:
    """One density (of every weight): microseconds a step by side, medians over ``turns`` turns.

    ``ratios``: side → its time by that of the first side, the median over turns.
    """

    density: float
    microseconds: Mapping[str, float]
    ratios: Mapping[str, float]
    turns: int


def usual_data(network: str) -> str:
    """The dataset whose shape a network is usually trained on."""
    return "mnist" if network.startswith("lenet") else "cifar-10"


def check(densities: Sequence[float], names: Sequence[str], seconds: float) -> None:
    """Raises UserError for what cannot be measured."""
    for density in densities:
        if not 0 < density <= 1:
            raise UserError(f"--density is {density:g}: a density lies above 0, up to 1, e.g. 0.1")
    for name in names:
        if name not in rivals.NAMES:
            raise unknown("engine", name, rivals.NAMES, f"Here: {', '.join(rivals.NAMES)}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise UserError(f"--seconds is {seconds:g}: each density needs some time, e.g. 2")


def work_job(work: Work) -> Job:
    """The job of a work. Raises UserError: unknown network, data or optimizer, a bad batch."""
    about = facts(work.data)
    if work.batch < 1:
        raise UserError(f"--batch is {work.batch}: a batch has at least 1 image, e.g. 60")
    if work.optimizer not in OPTIMIZERS:
        raise unknown("optimizer", work.optimizer, OPTIMIZERS, f"Here: {', '.join(OPTIMIZERS)}")
    build = functools.partial(models.build, work.network, inputs=about.shape, classes=about.classes)
    build()
    count = max(_IMAGES, work.batch)
    generator = rng.torch_generator(0, "bench", "images")
    pixels = torch.randint(0, 256, (count, *about.shape), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, about.classes, (count,), generator=generator)
    split = Split(pixels, labels, torch.arange(count))
    optimizer = Optimizer.model_validate({"name": work.optimizer, "lr": _RATE}).resolved()
    return Job(
        build=build,
        data=TrainingData({"train": split}, about.mean, about.std),
        steps=10**9,
        batch=work.batch,
        last_batch="drop",
        optimizer=optimizer,
        schedule={"name": "constant", "drops": [], "factor": None, "warmup": 0},
        seeds={"order": 0, "augment": 0, "dropout": 0},
    )


def willing(names: Sequence[str], job: Job) -> tuple[dict[str, rivals.Side], list[str]]:
    """The sides that can train the job here, and a note for each other one."""
    with one_thread():
        sides = {name: rivals.make(name, job) for name in dict.fromkeys(names)}
        reasons = {name: side.refuses() for name, side in sides.items()}
    notes = [f"{name} is left out: {reason}" for name, reason in reasons.items() if reason]
    able = {name: side for name, side in sides.items() if not reasons[name]}
    if not able:
        raise UserError("nothing is left to measure: " + "; ".join(notes))
    return able, notes


def compare(
    job: Job, sides: Mapping[str, rivals.Side], densities: Sequence[float], seconds: float
) -> Iterator[BenchRow]:
    """One row for each density, from dense to sparse, measured for about ``seconds`` each."""
    for density in sorted(set(densities), reverse=True):
        state = random_state(job, {}, density)
        with one_thread():
            repeats = {name: side.begin(state) for name, side in sides.items()}
            times = in_turns(repeats, seconds, _TURN)
        first = next(iter(times.values()))
        yield BenchRow(
            density,
            {name: 1e6 * statistics.median(values) for name, values in times.items()},
            {
                name: statistics.median(a / b for a, b in zip(values, first, strict=True))
                for name, values in times.items()
            },
            len(first),
        )


def break_even(rows: Sequence[BenchRow], peer: str) -> float | None:
    """The density below which the first side is faster than a peer; None if at none measured.

    1 if it is faster at all that were measured from there down; between two densities the line
    through their ratios.
    """
    above: BenchRow | None = None
    crossing: float | None = None
    for row in rows:  # from dense to sparse
        if row.ratios[peer] < 1:
            crossing = None
        elif crossing is None:
            crossing = 1.0 if above is None else _between(above, row, peer)
        above = row
    return crossing


def _between(above: BenchRow, below: BenchRow, peer: str) -> float:
    ratios, densities = (above.ratios[peer], below.ratios[peer]), (above.density, below.density)
    return float(np.interp(1.0, ratios, densities))
