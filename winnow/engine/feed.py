"""What every torch engine is fed: the batch of any step, and whole splits, on its device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from winnow import rng
from winnow.data.augment import flip_crop
from winnow.data.order import Batches
from winnow.engine.base import EVALUATION_BATCH, Job, Split


class Feed:
    """The images of one job. Where they lie is up to the engine, what comes when to the job."""

    def __init__(
        self, job: Job, device: torch.device, moved: dict[int, Tensor] | None = None
    ) -> None:
        """``moved``: tensors that are on the device already, by the id of the job's tensor.

        Feeds that share it put images that several splits or jobs use on the device only once; the
        jobs must outlive it.
        """
        self.job, self.device = job, device
        moved = {} if moved is None else moved

        def place(tensor: Tensor) -> Tensor:
            if id(tensor) not in moved:
                moved[id(tensor)] = tensor.to(device)
            return moved[id(tensor)]

        self.splits = {
            name: Split(place(split.images), place(split.labels), split.index.to(device))
            for name, split in job.data.splits.items()
        }
        self.scale, self.shift = _scale_and_shift(job, device)
        examples = len(self.splits["train"].index)
        self.batches = Batches(examples, job.batch, job.last_batch, job.seeds["order"])

    def pixels(self, step: int) -> tuple[Tensor, Tensor]:
        """The augmented images uint8 (B, C, H, W) and labels of a step."""
        positions = torch.tensor(self.batches.indices(step), device=self.device)
        x, y = self.splits["train"].take(positions)
        if self.job.data.augment == "flip-crop":
            x = flip_crop(x, rng.stream(self.job.seeds["augment"], "augment", step))
        return x, y

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: normalised images float32 and labels."""
        x, y = self.pixels(step)
        return self.normalised(x), y

    def whole(self, split: str, batch: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """All of a split in its order, normalised, ``batch`` images at a time."""
        examples = self.splits[split]
        for positions in torch.split(torch.arange(self.count(split), device=self.device), batch):
            x, y = examples.take(positions)
            yield self.normalised(x), y

    def count(self, split: str) -> int:
        """The number of examples of a split."""
        return len(self.splits[split].index)

    def normalised(self, images: Tensor) -> Tensor:
        """Pixels (…, C, H, W) as the network takes them."""
        return images.to(torch.float32).mul_(self.scale).add_(self.shift)

    def dropout_seed(self, step: int) -> int:
        """What seeds torch before the forward pass of a step."""
        return rng.torch_seed(self.job.seeds["dropout"], "dropout", step)


def _scale_and_shift(job: Job, device: torch.device) -> tuple[Tensor, Tensor]:
    """(pixel − mean) / std as one product and one sum, for each channel (C, 1, 1)."""
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (job.data.mean, job.data.std))
    scale = (1 / std).to(device, torch.float32)
    shift = (-mean / std).to(device, torch.float32)
    return scale.view(-1, 1, 1), shift.view(-1, 1, 1)
