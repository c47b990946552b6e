"""What every torch engine is fed: the batch of any step, and whole splits, on its device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from winnow import rng
from winnow.data.augment import flip_crop
from winnow.data.crops import draw_crops
from winnow.data.image_files import ImageFiles
from winnow.data.order import Batches
from winnow.engine.ahead import ReadAhead, Reading, read_in_turn
from winnow.engine.base import EVALUATION_BATCH, Job, Split, TrainingData

_PIXELS = 1000 * 64 * 64  # of each channel, evaluated at once: 1000 of the largest in memory


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
            name: Split(
                split.images if isinstance(split.images, ImageFiles) else place(split.images),
                place(split.labels),
                split.index.to(device),
            )
            for name, split in job.data.splits.items()
        }
        scale, shift = scale_and_shift(job.data)
        self.scale, self.shift = scale.to(device), shift.to(device)
        examples = len(self.splits["train"].index)
        self.batches = Batches(examples, job.batch, job.last_batch, job.seeds["order"])
        self.ahead = ReadAhead(self._begin, job.steps)

    def pixels(self, step: int) -> tuple[Tensor, Tensor]:
        """The augmented images uint8 (B, C, H, W) and labels of a step."""
        if isinstance(self.splits["train"].images, ImageFiles):
            return self.ahead.batch(step)
        positions = torch.tensor(self.batches.indices(step), device=self.device)
        x, y = self.splits["train"].take(positions)
        if self.job.data.augment == "flip-crop":
            x = flip_crop(x, rng.stream(self.job.seeds["augment"], "augment", step))
        return x, y

    def _begin(self, step: int) -> Reading:
        """Begin to read a step's images from their files."""
        positions = torch.tensor(self.batches.indices(step), device=self.device)
        draws = None
        if self.job.data.augment == "flip-resized-crop":
            stream = rng.stream(self.job.seeds["augment"], "augment", step)
            draws = draw_crops(len(positions), stream)
        return self.splits["train"].start(positions, draws)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: normalised images float32 and labels."""
        x, y = self.pixels(step)
        return self.normalised(x), y

    def whole(self, split: str, batch: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """All of a split in its order, normalised, ``batch`` images at a time, or `at_once`."""
        examples = self.splits[split]
        everyone = torch.arange(self.count(split), device=self.device)
        for x, y in examples_in_turn(examples, torch.split(everyone, at_once(examples, batch))):
            yield self.normalised(x), y

    def count(self, split: str) -> int:
        """The number of examples of a split."""
        return len(self.splits[split].index)

    def normalised(self, images: Tensor) -> Tensor:
        """Pixels (…, C, H, W) as the network takes them, in a tensor of their own."""
        scaled = images.to(torch.float32, copy=True).mul_(self.scale).add_(self.shift)
        return to_unit_norm(scaled) if self.job.data.unit_norm else scaled

    def dropout_seed(self, step: int) -> int:
        """What seeds torch before the forward pass of a step."""
        return rng.torch_seed(self.job.seeds["dropout"], "dropout", step)


def at_once(split: Split, batch: int) -> int:
    """``batch``, or fewer where images are so large that they would be more than `_PIXELS`."""
    height, width = split.images.shape[2:]
    return min(batch, max(1, _PIXELS // (height * width)))


def examples_in_turn(split: Split, parts: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The examples at some positions of a split, part by part: pixels and labels."""
    if isinstance(split.images, ImageFiles):
        return read_in_turn(split, parts)
    return map(split.take, parts)


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
