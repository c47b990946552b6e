"""What lies on the line between two networks: loss and error from one to the other.

Frankle, Dziugaite, Roy & Carbin 2020, "Linear Mode Connectivity and the Lottery Ticket Hypothesis",
section 2: the error barrier is the highest error on the line less the mean of the errors at its
ends; two networks without one are linearly mode connected.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winnow.criteria.base import Subject
from winnow.criteria.statistics import use_statistics
from winnow.errors import UserError, unknown
from winnow.selection import parameters, uncompiled

LineNorms = Literal["reestimate", "interpolate"]


@dataclass(frozen=True)
class LinePoint:
    """A network on the line. ``position``: 0 at the first end, 1 at the second. ``loss``: mean
    cross-entropy. ``error``: fraction of the images that are classified wrongly.
    """

    position: float
    loss: float
    error: float


@dataclass(frozen=True)
class Line:
    """The points of a line, evenly spaced, both ends included. A loss that is nan makes the
    numbers of losses nan.
    """

    points: tuple[LinePoint, ...]

    @property
    def highest_loss(self) -> float:
        return _highest([point.loss for point in self.points])

    @property
    def highest_error(self) -> float:
        return _highest([point.error for point in self.points])

    @property
    def loss_of_ends(self) -> float:
        """The mean of the losses at the two ends."""
        return (self.points[0].loss + self.points[-1].loss) / 2

    @property
    def error_of_ends(self) -> float:
        """The mean of the errors at the two ends."""
        return (self.points[0].error + self.points[-1].error) / 2

    @property
    def loss_barrier(self) -> float:
        """The highest loss less that of the ends. Never negative, as ends are points too."""
        return self.highest_loss - self.loss_of_ends

    @property
    def error_barrier(self) -> float:
        """The highest error less that of the ends: the paper's error barrier."""
        return self.highest_error - self.error_of_ends


def line_between(
    model: nn.Module,
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    points: int = 11,
    norms: LineNorms = "reestimate",
) -> Line:
    """Loss and error of (1 − α)·first + α·second, for α in 0, 1/(points − 1), …, 1.

    ``model``: the network, whose own weights do not matter and stay. ``first``, ``second``: what
    its ``state_dict`` would be at the ends. ``batches``: images (B, …) and labels (B,), walked once
    or twice for each point. All is in evaluation mode: no dropout. Integers (counters of batches)
    are those of the first end.

    ``norms`` decides the running statistics of batch norm. ``reestimate``: those of the batches, as
    the mean over batches, at every point and at the ends too, so that these compare with the rest;
    the ends are then not quite the networks as they were trained. Interpolated weights do not have
    interpolated statistics, and without this a barrier may be one of the statistics alone.
    ``interpolate``: taken on the line like weights; the ends are the networks as they are. The
    paper does not print which it does.

    Raises UserError for fewer than two points, another word for ``norms``, no images, data that can
    be walked only once; ValueError for ends of another network.
    """
    _check(points, norms, batches)
    walked = copy.deepcopy(uncompiled(model)).eval()
    for name, end in (("first", first), ("second", second)):
        _check_end(name, end, walked.state_dict())
    found = []
    for index in range(points):
        position = index / (points - 1)
        walked.load_state_dict(dict(_between(first, second, position)))
        if norms == "reestimate":
            use_statistics(Subject("line", walked, parameters(walked), batches), "data")
        found.append(LinePoint(position, *_loss_and_error(walked, batches)))
    return Line(tuple(found))


def _check(points: int, norms: str, batches: object) -> None:
    if points < 2:
        raise UserError(f"a line has two ends: ask for at least 2 points, not {points}")
    if norms not in get_args(LineNorms):
        known = get_args(LineNorms)
        raise unknown("treatment of norms", str(norms), known, f"There are {', '.join(known)}")
    if isinstance(batches, Iterator):
        raise UserError(
            "the images are walked for every point of the line: pass a list or a loader instead of "
            "an iterator"
        )


def _check_end(name: str, end: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    faults = [key for key in {**own, **end} if (key in own) != (key in end)]
    faults += [key for key in own if key in end and own[key].shape != end[key].shape]
    if faults:
        raise ValueError(
            f"the {name} end of the line is of another network: {faults[0]!r} is missing in one of "
            "them or has another shape"
        )


def _between(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], position: float
) -> Iterator[tuple[str, Tensor]]:
    """Exactly the ends at 0 and 1: torch's lerp counts from the nearer one."""
    for name, start in first.items():
        end = second[name].to(start.device)
        yield name, torch.lerp(start, end, position) if start.is_floating_point() else start


@torch.no_grad()
def _loss_and_error(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    loss, wrong, count = 0.0, 0, 0
    for x, y in batches:
        logits = model(x)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        wrong += int((logits.argmax(1) != y).sum())
        count += len(y)
    if count == 0:
        raise UserError("there are no images to walk the line with: the data has no batch")
    return loss / count, wrong / count


def _highest(values: list[float]) -> float:
    """nan if one is: Python's max would depend on where it stands."""
    return float(torch.tensor(values, dtype=torch.float64).max())
