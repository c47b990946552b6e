"""An epoch on the device: the order of its images, their flips and crops, its learning rates.

Drawn on the host from the run's named seeds, as for every other engine, and copied once an epoch.
Which step comes next is counted on the device: recorded steps go through the epoch by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow import rng
from winnow.data.augment import PAD, draw_flip_crop, flipped_and_cropped
from winnow.engine.base import Job
from winnow.engine.feed import Feed
from winnow.engine.learning_rate import rate_at
from winnow.engine.recorded.track import Track
from winnow.engine.whole_step import scalars


class DeviceImages:
    """Images and labels on the device, from which the splits of several rows take theirs."""

    def __init__(self, feeds: Sequence[Feed], split: str) -> None:
        """Feeds that share their tensors (`Feed`'s ``moved``) share one copy here, too."""
        images: dict[int, Tensor] = {}
        labels: list[Tensor] = []
        begins: dict[int, int] = {}
        self.numbers: list[Tensor] = []
        """Of each row: where its examples lie, on the host, int64."""
        for feed in feeds:
            mine = feed.splits[split]
            if id(mine.images) not in images:
                begins[id(mine.images)] = sum(map(len, images.values()))
                images[id(mine.images)] = mine.in_memory
                labels.append(mine.labels)
            chosen = feed.job.data.splits[split].index
            self.numbers.append(chosen + begins[id(mine.images)])
        self.images, self.labels = (
            parts[0] if len(parts) == 1 else torch.cat(parts)
            for parts in (list(images.values()), labels)
        )

    def take(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (R, B, C, H, W) and labels (R, B) of numbers (R, B)."""
        flat = numbers.flatten()
        x, y = self.images.index_select(0, flat), self.labels.index_select(0, flat)
        return x.view(*numbers.shape, *x.shape[1:]), y.view(numbers.shape)


class Epochs:
    """The batch of the next step, for rows that train in step."""

    def __init__(self, feeds: Sequence[Feed], step: int, updates: int, track: Track) -> None:
        """``feeds``: one for each row, of jobs of one kind. ``step`` and ``updates``: where it
        begins; each step makes an update.
        """
        self.feeds, self.track = feeds, track
        self.job = feeds[0].job
        self.before = step - updates
        self.pool = DeviceImages(feeds, "train")
        self.per_epoch = feeds[0].batches.steps_per_epoch
        self.full = min(self.job.batch, feeds[0].count("train"))
        shape = (self.per_epoch, len(feeds), self.full)
        self.at = torch.zeros(1, dtype=torch.int64, device=track.device)
        self.numbers = torch.zeros(shape, dtype=torch.int64, device=track.device)
        self.rates = torch.zeros((self.per_epoch, 3), device=track.device)
        self.crops: Tensor | None = None  # (steps, 3, R, B): mirrored or not, row, column
        if self.job.data.augment == "flip-crop":
            crops = (self.per_epoch, 3, *shape[1:])
            self.crops = torch.zeros(crops, dtype=torch.int64, device=track.device)
        self.epoch = -1

    def go_to(self, step: int) -> int:
        """Have a step's epoch on the device. Returns the size of the step's batch.

        To be called for each step, from the first on, before its work.
        """
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self._fill(epoch)
            self.at.fill_(position)
            self.epoch = epoch
        return min(self.full, self.feeds[0].count("train") - position * self.full)

    def _fill(self, epoch: int) -> None:
        steps = range(epoch * self.per_epoch, (epoch + 1) * self.per_epoch)
        fill = self.track.fill
        rows = zip(self.feeds, self.pool.numbers, strict=True)
        orders = [_order(feed, numbers, steps, self.full) for feed, numbers in rows]
        fill(self.numbers, torch.stack(orders, 1))
        fill(self.rates, torch.tensor([self._scalars(step) for step in steps]))
        if self.crops is not None:
            drawn = [_crops(feed, steps, self.full) for feed in self.feeds]
            fill(self.crops, torch.from_numpy(np.stack(drawn, 2)))

    def _scalars(self, step: int) -> tuple[float, float, float]:
        updates = max(0, step - self.before)  # of steps before the first nobody asks
        return scalars(self.job.optimizer, rate_at(self.job, step), updates)

    def batch(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented pixels (R, B, C, H, W), labels (R, B) and scalars (3,) of the step that comes
        next on the device, which moves one on.
        """
        numbers = self.numbers.index_select(0, self.at)[0, :, :count]
        x, y = self.pool.take(numbers)
        if self.crops is not None:
            flips, down, right = self.crops.index_select(0, self.at)[0, :, :, :count].flatten(1)
            moved = flipped_and_cropped(x.flatten(0, 1), flips != 0, down, right, PAD)
            x = moved.view(x.shape)
        now = self.rates.index_select(0, self.at)[0]
        self.at.add_(1).remainder_(self.per_epoch)
        return x, y, now


def _order(feed: Feed, numbers: Tensor, steps: range, full: int) -> Tensor:
    """Which images make the batches (steps, B); the last of an epoch may end in zeros."""
    order = torch.zeros((len(steps), full), dtype=torch.int64)
    for row, step in zip(order, steps, strict=True):
        chosen = numbers[torch.from_numpy(feed.batches.indices(step).copy())]
        row[: len(chosen)] = chosen
    return order


def _crops(feed: Feed, steps: range, full: int) -> NDArray[np.int64]:
    """What augmentation draws for the batches: (steps, 3, B)."""
    drawn = np.zeros((len(steps), 3, full), np.int64)
    for row, step in zip(drawn, steps, strict=True):
        count = len(feed.batches.indices(step))
        stream = rng.stream(feed.job.seeds["augment"], "augment", step)
        row[:, :count] = draw_flip_crop(count, PAD, stream)
    return drawn


def on_device(job: Job) -> bool:
    """Whether a job's images can lie on the device."""
    return all(isinstance(split.images, Tensor) for split in job.data.splits.values())
