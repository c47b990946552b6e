"""A lane: a network, or rows of them, whose recorded step is replayed on a track."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from winnow.engine.base import Metrics
from winnow.engine.feed import Feed
from winnow.engine.recorded.epochs import Epochs
from winnow.engine.recorded.evaluating import Evaluating
from winnow.engine.recorded.exactness import telling_of_chance
from winnow.engine.recorded.ledger import Ledger, LedgerEntry
from winnow.engine.recorded.track import DeviceWork, Track
from winnow.engine.tracing import left_unchanged
from winnow.engine.whole_step import StepTensors
from winnow.state import State


class Trainable(Protocol):
    """What a lane trains: R rows, whose tensors stay where they are."""

    rows: int
    tensors: StepTensors

    def prepare(self) -> None:
        """Make ready what steps need, once."""
        ...

    def step(
        self, x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor, going: Tensor
    ) -> Tensor:
        """One update of the rows (R,) that are ``going``, from pixels (R, B, C, H, W) and labels
        (R, B). Returns losses and norms (2, R). Rows that are not finite, or not going, stay.
        """
        ...

    def logits(self, pixels: Tensor) -> Tensor:
        """The logits (R, B, classes) of pixels (R, B, C, H, W), in evaluation mode."""
        ...

    def draw(self, step: int, count: int) -> list[Tensor]:
        """The factors of dropout in a step of so many examples, call by call."""
        ...

    def state(self, row: int, step: int, updates: int) -> State:
        """A copy, on the host, of where a row stands."""
        ...


class Lane:
    """The host says when; what is done when, and what was seen, is on the device.

    ``launched``: the step that comes next. Where a row diverged meanwhile, its tensors stayed
    behind: `entries` tells.
    """

    def __init__(
        self,
        program: Trainable,
        feeds: Sequence[Feed],
        step: int,
        updates: int,
        track: Track,
        note: Callable[[str], None],
    ) -> None:
        """``feeds``: one for each row. ``note``: takes what a user should know."""
        self.program, self.feeds, self.track, self.note = program, feeds, track, note
        self.launched = step
        self.ledger = Ledger(program.rows, track.device)
        self.epochs = Epochs(feeds, step, updates, track)
        self.splits: dict[str, Evaluating] = {}
        self.drops: list[Tensor] = []
        self._full: DeviceWork | None = None

    @torch.no_grad()
    def launch(self) -> None:
        """Give the track the next step; wait for nothing."""
        with self.track.scope():
            count = self.epochs.go_to(self.launched)
            drops = self.program.draw(self.launched, count)
            if count == self.epochs.full:
                self._replay(drops)
            else:  # an epoch's last batch, which may be smaller
                self._work(count, drops)
            self.launched += 1

    def _replay(self, drops: Sequence[Tensor]) -> None:
        if self._full is None:
            self.program.prepare()
            self.drops = [drop.clone() for drop in drops]
            self._full = self._recorded(lambda: self._work(self.epochs.full, self.drops))
        for place, drop in zip(self.drops, drops, strict=True):
            place.copy_(drop)
        self._full()

    def _work(self, count: int, drops: Sequence[Tensor]) -> None:
        """One step, of which the host knows no number."""
        x, y, now = self.epochs.batch(count)
        self.ledger.add(self.program.step(x, y, drops, now, self.ledger.going))

    def _recorded(self, work: DeviceWork) -> DeviceWork:
        """The work as the track records it; where it cannot, as it is."""
        changed = [*self.program.tensors.all(), *self.ledger.tensors(), self.epochs.at]
        with left_unchanged(changed), telling_of_chance(self.note):
            try:
                return self.track.record(work)
            except RuntimeError as error:  # of CUDA, at something that it cannot record
                reason = str(error).strip().splitlines()[0]
                self.note(f"steps are not recorded, but launched one by one: {reason}")
                return work

    def entries(self) -> list[LedgerEntry]:
        """What became of each row since this was last asked; waits for the track."""
        with self.track.scope():
            return self.ledger.entries(self.track)

    def start_evaluating(self, split: str) -> None:
        """Give the track a split to evaluate; wait for nothing."""
        with self.track.scope():
            if split not in self.splits:
                self.splits[split] = Evaluating(
                    self.feeds, split, self.program.logits, self.track, self._recorded
                )
            self.splits[split].start()

    def metrics(self, split: str) -> list[Metrics]:
        """Of each row on a split whose evaluation was started; waits for the track."""
        with self.track.scope():
            return self.splits[split].metrics()

    def state(self, row: int, step: int, updates: int) -> State:
        """A copy of where a row stands; waits for the track."""
        with self.track.scope():
            return self.program.state(row, step, updates)
