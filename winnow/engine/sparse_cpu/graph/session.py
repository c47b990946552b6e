"""Training any other network, a step at a time."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from winnow import rng
from winnow.data.augment import draw_flip_crop
from winnow.data.order import Batches
from winnow.engine.advancing import advance_by, one_step
from winnow.engine.base import Job, Metrics, Perturbation, StepStats
from winnow.engine.learning_rate import rate_at
from winnow.engine.reopened import dense_gradient
from winnow.engine.sparse_cpu.denormals import denormals_as_zero
from winnow.engine.sparse_cpu.graph.graph import Graph
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.kernels.gather import gather_images
from winnow.engine.sparse_cpu.kernels.squares import squares
from winnow.engine.sparse_cpu.places import remasking
from winnow.engine.sparse_cpu.splits import index_of, labels_of, pixels_of
from winnow.engine.sparse_cpu.team import Team
from winnow.mask import Mask
from winnow.state import State, Tensors

_PAD = 4  # pixels of flip-crop, as in `winnow.data.augment`
_AS_IT_IS = (np.empty(0, np.bool_), np.empty(0, np.int64), np.empty(0, np.int64))


class GraphSession:
    """One network in training."""

    def __init__(
        self, job: Job, state: State, in_torch: Collection[str], team: Team, storage: Storage
    ) -> None:
        self.job, self.mask, self.team = job, state.mask, team
        self.step, self.updates = state.step, state.updates
        splits = job.data.splits
        shape = tuple(splits["train"].images.shape[1:])
        self.graph = Graph(
            job.build(), shape, job.batch, state, job.optimizer, in_torch, team, storage
        )
        self.notes = self.graph.notes
        self.pixels = {name: pixels_of(s) for name, s in splits.items()}
        self.labels = {name: labels_of(s, self.graph.classes) for name, s in splits.items()}
        self.index = {name: index_of(s) for name, s in splits.items()}
        examples = len(self.index["train"])
        self.batches = Batches(examples, job.batch, job.last_batch, job.seeds["order"])
        mean, std = np.array(job.data.mean), np.array(job.data.std)
        self.scale, self.shift = (v.astype(np.float32) for v in (1 / std, -mean / std))

    def advance(self, to: int) -> StepStats:
        return advance_by(self, one_step(self, self._step), to)

    def _step(self) -> float:
        with denormals_as_zero(self.graph.parameters.rule.forgets_denormals):
            return self._train()

    def _train(self) -> float:
        """One update. Returns the loss; NaN, and no update, if it or the gradient is not finite."""
        graph, seeds = self.graph, self.job.seeds
        examples = self.index["train"][self.batches.indices(self.step)]
        augmented = _AS_IT_IS
        if self.job.data.augment == "flip-crop":
            stream = rng.stream(seeds["augment"], "augment", self.step)
            augmented = draw_flip_crop(len(examples), _PAD, stream)
        if graph.random:
            torch.manual_seed(rng.torch_seed(seeds["dropout"], "dropout", self.step))
        self._gather("train", examples, augmented)
        graph.forward(len(examples), training=True)
        loss = graph.loss(self.labels["train"], examples) / len(examples)
        if not math.isfinite(np.float32(loss)):
            return math.nan
        graph.backward()
        return loss if self._update() else math.nan

    def _update(self) -> bool:
        """Whether the gradient was finite, and all weights are updated with it."""
        job, parameters = self.job, self.graph.parameters
        norm = math.sqrt(squares(parameters.gradient, parameters.gradient.size))
        if not math.isfinite(norm):
            return False
        factor = job.clip / (norm + 1e-6) if job.clip is not None and norm > job.clip else 1.0
        parameters.update(rate_at(job, self.step), self.updates + 1, factor)
        self.updates += 1
        return True

    def _gather(
        self,
        split: str,
        examples: NDArray[np.int64],
        augmented: tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        x = self.graph.x
        gather_images(
            x.map.dims,
            self.pixels[split],
            examples,
            self.scale,
            self.shift,
            *augmented,
            _PAD,
            x.buffer[0],
        )

    def evaluate(self, split: str) -> Metrics:
        with denormals_as_zero(self.graph.parameters.rule.forgets_denormals):
            return self._evaluate(split)

    def _evaluate(self, split: str) -> Metrics:
        graph, index, labels = self.graph, self.index[split], self.labels[split]
        loss, correct = 0.0, 0
        for begin in range(0, len(index), graph.capacity):
            some = index[begin : begin + graph.capacity]
            self._gather(split, some, _AS_IT_IS)
            graph.forward(len(some), training=False)
            loss += graph.loss(labels, some)
            correct += graph.correct(labels, some)
        return Metrics(loss / len(index), correct / len(index))

    def state(self) -> State:
        slots = self.graph.parameters.slot_tensors() if self.updates else {}
        return replace(self._resting(), mask=self.mask, slots=slots, updates=self.updates)

    def _resting(self) -> State:
        """The state without what only an update needs."""
        return State(self.step, self.graph.parameters.tensors(), self.graph.buffers())

    def look(self) -> State:
        return self.state()

    def gradient(self) -> Tensors:
        return dense_gradient(self.job, self._resting())

    def kept(self) -> Tensors:
        return self.graph.parameters.kept(self.mask or ())

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        self.graph.remask(remasking(self.mask, mask, values, grown))
        self.mask = mask

    def perturb(self, change: Perturbation) -> None:
        moved = {name: change(name, values) for name, values in self.kept().items()}
        self.graph.parameters.set_kept(moved)

    def skip(self) -> None:
        self.step += 1
