"""A session whose lanes are trained one after the other: what engines without stacking open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from winnow.engine.base import Metrics, Perturbation, StepStats
from winnow.mask import Mask
from winnow.state import State, Tensors


class Lane(Protocol):
    """One job in training; the methods are a session's, for one job."""

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        ...

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        ...

    def state(self) -> State:
        """A copy of where it stands."""
        ...


class PliableLane(Lane, Protocol):
    """A lane whose mask can change."""

    def look(self) -> State:
        """Where it stands, sharing memory."""
        ...

    def kept(self) -> Tensors:
        """What is kept of each masked tensor, 1-d."""
        ...

    def gradient(self) -> Tensors:
        """The dense gradient on the batch of the next step."""
        ...

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        """Train on under another mask."""
        ...

    def perturb(self, change: Perturbation) -> None:
        """Move the kept weights."""
        ...

    def skip(self) -> None:
        """Move one iteration on without an update."""
        ...


class Lanes:
    """A session over lanes that know nothing of each other."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes

    def advance(self, to: int) -> Sequence[StepStats]:
        """Train every lane up to iteration ``to``."""
        return [lane.advance(to) for lane in self.lanes]

    def evaluate(self, split: str) -> Sequence[Metrics]:
        """Loss and accuracy of every lane on a split."""
        return [lane.evaluate(split) for lane in self.lanes]

    def state(self) -> Sequence[State]:
        """Copies of where the lanes stand."""
        return [lane.state() for lane in self.lanes]


class PliableLanes(Lanes):
    """A session, complete: its lanes' masks can change."""

    def __init__(self, lanes: Sequence[PliableLane]) -> None:
        super().__init__(lanes)
        self.pliable = lanes

    def look(self, lane: int) -> State:
        """Where a lane stands, sharing memory."""
        return self.pliable[lane].look()

    def kept(self, lane: int) -> Tensors:
        """What is kept of each masked tensor of a lane, 1-d."""
        return self.pliable[lane].kept()

    def gradient(self, lane: int) -> Tensors:
        """The dense gradient on the batch of a lane's next step."""
        return self.pliable[lane].gradient()

    def remask(
        self,
        lane: int,
        mask: Mask,
        values: Tensors | None = None,
        grown: Tensors | None = None,
    ) -> None:
        """Train a lane on under another mask."""
        self.pliable[lane].remask(mask, values, grown)

    def perturb(self, lane: int, change: Perturbation) -> None:
        """Move the kept weights of a lane."""
        self.pliable[lane].perturb(change)

    def skip(self, lane: int) -> None:
        """Move a lane one iteration on without an update."""
        self.pliable[lane].skip()
