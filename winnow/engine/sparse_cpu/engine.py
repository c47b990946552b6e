"""The sparse CPU engine: the same trajectories as dense, at a cost that falls with density.

One thread, float32, any chain of linear layers and ReLUs. Sums run in another order than in torch,
so weights agree to rounding, not in bits; the engine's own numbers depend on the state, the job
and the width of the machine's vectors alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.data.order import epoch_order, steps_per_epoch
from winnow.engine.base import Job, Metrics, Session, Split, StepStats
from winnow.engine.lanes import Lanes
from winnow.engine.learning_rate import learning_rate
from winnow.engine.reopened import Reopened
from winnow.engine.sparse_cpu.chain import Layer, UnsupportedError, chain_of
from winnow.engine.sparse_cpu.pixels import Images
from winnow.engine.sparse_cpu.steps import evaluate, ready, train
from winnow.engine.sparse_cpu.update import RULES
from winnow.engine.sparse_cpu.weights import Weights
from winnow.errors import UserError
from winnow.state import State, masked


class SparseEngine:
    """Trains every job by itself, on one core, touching nonzeros only."""

    name = "sparse"

    def prepare(self) -> None:
        """Compile the kernels, unless this machine has them: some 10 s, once."""
        ready()

    def refuses(self, jobs: Sequence[Job]) -> str | None:
        """The reason why a job cannot be trained here, or None."""
        for job in jobs:
            if reason := _refusal(job):
                return reason
        return None

    def open(self, jobs: Sequence[Job], states: Sequence[State]) -> Session:
        """Start or continue the jobs from their states.

        The first session of a machine compiles the kernels (some 10 s). UserError when a job is
        refused or a label has no output.
        """
        if reason := self.refuses(jobs):
            raise UserError(
                f"engine: sparse cannot train this: {reason}. Write engine: auto, which takes "
                "another engine where it must"
            )
        ready()
        return Reopened(_lanes, jobs, states)


def _lanes(jobs: Sequence[Job], states: Sequence[State]) -> Lanes:
    return Lanes([_Lane(job, masked(s)) for job, s in zip(jobs, states, strict=True)])


def _refusal(job: Job) -> str | None:
    if job.dense_slots:
        return "its removed weights keep their momentum, so that it trains densely"
    if job.data.augment != "none":
        return f"images are augmented ({job.data.augment}), for which it has no kernel yet"
    if job.optimizer["name"] not in RULES:
        return f"it has no kernel for the optimizer {job.optimizer['name']}"
    try:
        layers = chain_of(job.build())
    except UnsupportedError as error:
        return f"the network is not a chain of linear layers and ReLUs: {error}"
    features = math.prod(job.data.splits["train"].images.shape[1:])
    sizes = [features, *(layer.outputs for layer in layers)]
    if any(size != layer.inputs for size, layer in zip(sizes, layers, strict=False)):
        return f"layer sizes do not fit images of {features} features"
    return None


class _Lane:
    """One network in training."""

    def __init__(self, job: Job, state: State) -> None:
        self.job, self.mask = job, state.mask
        self.step, self.updates = state.step, state.updates
        model = job.build()
        layers = chain_of(model)
        names = [name for name, _ in model.named_parameters()]
        self.weights = Weights(names, layers, state, job.optimizer, job.batch)
        self.images = {name: _images(job, s, layers) for name, s in job.data.splits.items()}
        self.index = {name: _index(split) for name, split in job.data.splits.items()}
        self.per_epoch = steps_per_epoch(len(self.index["train"]), job.batch, job.last_batch)
        scale, shift = self.images["train"].scale, self.images["train"].shift
        self.pixel_bound = float(np.maximum(shift**2, (255 * scale + shift) ** 2).max(initial=1.0))
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def advance(self, to: int) -> StepStats:
        losses, first = 0.0, self.step
        while self.step < to:
            epoch, position = divmod(self.step, self.per_epoch)
            asked = min(to - self.step, self.per_epoch - position)
            made, loss = self._train(epoch, position, asked)
            losses += loss
            self.step += made
            self.updates += made
            if made < asked:
                return StepStats(self.step, math.nan, diverged_at=self.step + 1)
        mean = losses / (self.step - first) if self.step > first else math.nan
        return StepStats(self.step, mean)

    def _train(self, epoch: int, position: int, count: int) -> tuple[int, float]:
        """Up to ``count`` steps from a position of an epoch: steps made, summed loss."""
        job = self.job
        rates = [
            learning_rate(step, job.steps, job.optimizer["lr"], job.schedule)
            for step in range(self.step, self.step + count)
        ]
        return train(
            self.weights.network,
            self.images["train"],
            self._order(epoch),
            position,
            job.batch,
            np.array(rates, np.float64),
            self.weights.rule,
            self.weights.options,
            self.updates,
            job.clip or 0.0,
            self.pixel_bound,
        )

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """The numbers of the epoch's images."""
        if epoch != self.epoch:
            index = self.index["train"]
            self.order = index[epoch_order(len(index), self.job.seeds["order"], epoch)]
            self.epoch = epoch
        return self.order

    def evaluate(self, split: str) -> Metrics:
        index = self.index[split]
        loss, correct = evaluate(self.weights.network, self.images[split], index)
        return Metrics(loss / len(index), correct / len(index))

    def state(self) -> State:
        weights, slots = self.weights.dense()
        return State(self.step, weights, {}, self.mask, slots if self.updates else {}, self.updates)


def _index(split: Split) -> NDArray[np.int64]:
    """The numbers of a split's images. Kernels check no bounds, so they are checked here."""
    index = np.ascontiguousarray(split.index.cpu().numpy(), np.int64)
    count = len(split.images)
    assert len(split.labels) == count, "as many labels as images"
    assert not len(index) or 0 <= index.min() <= index.max() < count, "an index out of range"
    return index


def _images(job: Job, split: Split, layers: Sequence[Layer]) -> Images:
    """A split as kernels see it: its images where they lie, not copied."""
    classes = layers[-1].outputs
    labels = split.labels.cpu().to(torch.int64).contiguous()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(
            f"labels go from {int(labels.min())} to {int(labels.max())}, but the network has "
            f"{classes} outputs: they must be from 0 to {classes - 1}"
        )
    of_channel = layers[0].inputs // split.images.shape[1]
    mean, std = np.array(job.data.mean), np.array(job.data.std)
    return Images(
        split.images.cpu().contiguous().view(-1).numpy(),
        labels.numpy(),
        np.repeat(1 / std, of_channel).astype(np.float32),
        np.repeat(-mean / std, of_channel).astype(np.float32),
    )
