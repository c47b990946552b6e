"""Training a chain of linear layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.data.order import epoch_order, steps_per_epoch
from winnow.engine.advancing import advance_by
from winnow.engine.base import Job, Metrics, Perturbation, Split, StepStats
from winnow.engine.feed import inverse_norms, scale_and_shift
from winnow.engine.learning_rate import rate_at
from winnow.engine.reopened import dense_gradient
from winnow.engine.sparse_cpu.chain.layers import ChainLayer, chain_of_job
from winnow.engine.sparse_cpu.chain.weights import Weights
from winnow.engine.sparse_cpu.denormals import denormals_as_zero
from winnow.engine.sparse_cpu.kernels.chain_pixels import FlatImages
from winnow.engine.sparse_cpu.kernels.chain_steps import evaluate_chain, train_chain
from winnow.engine.sparse_cpu.places import remasking
from winnow.engine.sparse_cpu.splits import index_of, labels_of, pixels_of
from winnow.kernels.arrays import Floats
from winnow.mask import Mask
from winnow.state import State, Tensors

_AT_ONCE = 4096  # images whose norms are computed at once; more would only take memory


class ChainSession:
    """One chain of linear layers in training: many steps in one compiled call."""

    def __init__(self, job: Job, state: State) -> None:
        self.job, self.mask = job, state.mask
        self.step, self.updates = state.step, state.updates
        names, layers = chain_of_job(job)
        self.weights = Weights(names, layers, state, job.optimizer, job.batch)
        self.images = {name: _images(job, s, layers) for name, s in job.data.splits.items()}
        self.index = {name: index_of(split) for name, split in job.data.splits.items()}
        self.per_epoch = steps_per_epoch(len(self.index["train"]), job.batch, job.last_batch)
        scale, shift = self.images["train"].scale, self.images["train"].shift
        self.pixel_bound = float(np.maximum(shift**2, (255 * scale + shift) ** 2).max(initial=1.0))
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def advance(self, to: int) -> StepStats:
        with denormals_as_zero(self.weights.rule.forgets_denormals):
            return advance_by(self, self._piece, to)

    def _piece(self, to: int) -> tuple[int, float]:
        """Train to the end of an epoch, or to ``to``: steps made, summed loss; NaN: it diverged."""
        epoch, position = divmod(self.step, self.per_epoch)
        asked = min(to - self.step, self.per_epoch - position)
        made, loss = self._train(epoch, position, asked)
        self.step += made
        self.updates += made
        return made, loss if made == asked else math.nan

    def _train(self, epoch: int, position: int, count: int) -> tuple[int, float]:
        """Up to ``count`` steps from a position of an epoch: steps made, summed loss."""
        job = self.job
        rates = [rate_at(job, step) for step in range(self.step, self.step + count)]
        return train_chain(
            self.weights.network,
            self.images["train"],
            self._order(epoch),
            position,
            job.batch,
            np.array(rates, np.float64),
            self.weights.rule.number,
            self.weights.rule.options,
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
        loss, correct = evaluate_chain(self.weights.network, self.images[split], index)
        return Metrics(loss / len(index), correct / len(index))

    def state(self) -> State:
        slots = self.weights.slot_tensors() if self.updates else {}
        return replace(self._resting(), mask=self.mask, slots=slots, updates=self.updates)

    def _resting(self) -> State:
        """The state without what only an update needs."""
        return State(self.step, self.weights.tensors(), {})

    def look(self) -> State:
        return self.state()

    def snapshot(self) -> _Snapshot:
        return _Snapshot(self.step, self.weights, self.weights.copied(), self.mask)

    def return_to(self, state: State) -> None:
        self.weights.take(state.weights)

    def gradient(self) -> Tensors:
        return dense_gradient(self.job, self._resting())

    def kept(self) -> Tensors:
        return self.weights.kept(self.mask or ())

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        self.weights.remask(remasking(self.mask, mask, values, grown))
        self.mask = mask

    def perturb(self, change: Perturbation) -> None:
        moved = {name: change(name, values) for name, values in self.kept().items()}
        self.weights.set_kept(moved)

    def skip(self) -> None:
        self.step += 1


@dataclass(frozen=True)
class _Snapshot:
    """The nonzeros of a session, whose mask must still be the same when they are read."""

    step: int
    weights: Weights
    values: Floats
    mask: Mask | None

    def network(self) -> State:
        return State(self.step, self.weights.spread(self.values), {}, self.mask)


def _images(job: Job, split: Split, layers: Sequence[ChainLayer]) -> FlatImages:
    """A split as kernels see it: its images where they lie, not copied."""
    of_channel = layers[0].inputs // split.images.shape[1]
    mean, std = np.array(job.data.mean), np.array(job.data.std)
    return FlatImages(
        pixels_of(split),
        labels_of(split, layers[-1].outputs),
        np.repeat(1 / std, of_channel).astype(np.float32),
        np.repeat(-mean / std, of_channel).astype(np.float32),
        _factors(job, split),
    )


def _factors(job: Job, split: Split) -> NDArray[np.float32]:
    """What each of a split's images is multiplied by; empty for 1."""
    if not job.data.unit_norm:
        return np.empty(0, np.float32)
    scale, shift = scale_and_shift(job.data)
    parts = [
        inverse_norms(part.to(torch.float32).mul_(scale).add_(shift))
        for part in torch.split(split.in_memory, _AT_ONCE)
    ]
    return torch.cat(parts).numpy()
