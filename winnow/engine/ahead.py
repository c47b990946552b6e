"""Batches from image files: while one is used, the next one is being read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

from winnow.data.crops import CropDraws
from winnow.data.image_files import Coming
from winnow.engine.base import Split

Reading = tuple[Coming, Tensor]
"""Images that are being read, and their labels, which are there."""


class ReadAhead:
    """The batch of any step. Steps usually come one after the other; other orders cost time."""

    def __init__(self, begin: Callable[[int], Reading], end: int) -> None:
        """``begin``: starts to read the batch of a step. ``end``: the steps there are."""
        self.begin, self.end = begin, end
        self.begun: dict[int, Reading] = {}

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Pixels uint8 (B, C, H, W) and labels (B,). UserError: see `ImageFiles.read`."""
        now = self.begun.pop(step) if step in self.begun else self.begin(step)
        after = step + 1
        if after not in self.begun:  # what was begun for any other step is not waited for
            self.begun = {after: self.begin(after)} if after < self.end else {}
        return _finished(now)


def read_in_turn(
    split: Split, parts: Iterable[Tensor], draws: Callable[[int, int], CropDraws] | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The examples at some positions of a split in files, part by part: pixels and labels.

    ``draws``: what is drawn for part k (from 0) of so many images; None: nothing, see `read`.
    """
    before: Reading | None = None
    for k, positions in enumerate(parts):
        drawn = None if draws is None else draws(k, len(positions))
        begun = split.start(positions, drawn)
        if before is not None:
            yield _finished(before)
        before = begun
    if before is not None:
        yield _finished(before)


def _finished(begun: Reading) -> tuple[Tensor, Tensor]:
    coming, labels = begun
    return coming().to(labels.device), labels
