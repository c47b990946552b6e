"""What every torch engine is fed: the batch of any step, and whole splits, on its device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from winnow import rng
from winnow.data.augment import flip_crop
from winnow.data.order import Batches
from winnow.engine.base import EVALUATION_BATCH, Job, Split, TrainingData


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
        scale, shift = scale_and_shift(job.data)
        self.scale, self.shift = scale.to(device), shift.to(device)
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
        scaled = images.to(torch.float32).mul_(self.scale).add_(self.shift)
        return to_unit_norm(scaled) if self.job.data.unit_norm else scaled

    def dropout_seed(self, step: int) -> int:
        """What seeds torch before the forward pass of a step."""
        return rng.torch_seed(self.job.seeds["dropout"], "dropout", step)


def to_unit_norm(images: Tensor) -> Tensor:
    """Each of the images float32 (…, C, H, W) divided by its L2 norm, in place; zeros stay."""
    return images.mul_(inverse_norms(images)[..., None, None, None])


def inverse_norms(images: Tensor) -> Tensor:
    """1 / the L2 norm of each of the images float32 (…, C, H, W); 0 for one that is all zeros.

    Squares of pixels are summed in float64, where they are exact: every engine has the same bits.
    """
    squares = images.square().flatten(-3).sum(-1, dtype=torch.float64)
    return torch.where(squares > 0, squares.rsqrt(), 0.0).to(torch.float32)


def scale_and_shift(data: TrainingData) -> tuple[Tensor, Tensor]:
    """(pixel − mean) / std as one product and one sum, for each channel (C, 1, 1)."""
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (data.mean, data.std))
    scale, shift = (1 / std).to(torch.float32), (-mean / std).to(torch.float32)
    return scale.view(-1, 1, 1), shift.view(-1, 1, 1)
