"""A split's loss and accuracy from recorded batches: sums stay on the device, read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from winnow.engine.base import EVALUATION_BATCH, Metrics
from winnow.engine.feed import Feed, at_once
from winnow.engine.recorded.epochs import DeviceImages
from winnow.engine.recorded.track import DeviceWork, Track

_TOGETHER = 8000  # images of all rows together, at most: half a gigabyte for 16 maps of 32 × 32


class Evaluating:
    """One split of R rows, evaluated as often as it is asked for."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        split: str,
        logits: Callable[[Tensor], Tensor],
        track: Track,
        record: Callable[[DeviceWork], DeviceWork],
    ) -> None:
        """``logits``: of pixels (R, B, C, H, W), in evaluation mode: (R, B, classes). ``record``:
        what makes recorded work of work.
        """
        self.logits, self.track, self.record = logits, track, record
        self.pool = DeviceImages(feeds, split)
        numbers = torch.stack(self.pool.numbers)
        self.numbers = torch.zeros(numbers.shape, dtype=torch.int64, device=track.device)
        track.fill(self.numbers, numbers)
        self.count = self.numbers.shape[1]
        most = min(EVALUATION_BATCH, max(1, _TOGETHER // len(feeds)))
        self.batch = min(at_once(feeds[0].splits[split], most), self.count)
        self.begin = torch.zeros(1, dtype=torch.int64, device=track.device)
        self.places = torch.arange(self.batch, device=track.device)
        self.sums = torch.zeros((2, len(feeds)), dtype=torch.float64, device=track.device)
        self._full: DeviceWork | None = None

    @torch.no_grad()
    def start(self) -> None:
        """Give the track all that there is to do; wait for nothing."""
        if self._full is None:
            self._full = self.record(lambda: self._add(self.places))
        self.begin.zero_()
        self.sums.zero_()
        batches, rest = divmod(self.count, self.batch)
        for _ in range(batches):
            self._full()
        if rest:
            self._add(self.places[:rest])

    def _add(self, places: Tensor) -> None:
        """Add the next images' losses and correct answers."""
        where = (self.begin + places) % self.count  # warming up may go past the end
        x, y = self.pool.take(self.numbers.index_select(1, where))
        logits = self.logits(x)
        correct = (logits.argmax(2) == y).sum(1)
        each = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        losses = each.view(y.shape).sum(1)
        self.sums.add_(torch.stack([losses.double(), correct.double()]))
        self.begin.add_(len(places))

    def metrics(self) -> list[Metrics]:
        """Of all rows, as soon as the device has them."""
        losses, correct = self.track.read(self.sums)
        return [
            Metrics(loss / self.count, right / self.count)
            for loss, right in zip(losses, correct, strict=True)
        ]
