"""The points of an experiment, and one replicate of it: which run stands where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from winnow.experiment.arms import Arm
from winnow.experiment.expected import ExpectedPoint
from winnow.experiment.plan.setting import Setting, with_seeds
from winnow.experiment.runs import Record, Run


@dataclass(frozen=True)
class Node:
    """A point of the experiment: which run stands for which arm, replicate, draw and round.

    ``cost``, where methods are compared: epochs of training and scoring, all of what the run needs
    included. ``line``: the variant of the recipe, empty without lines. ``between``: what has to be
    trained for the point and is no point itself, parents first.
    """

    arm: str
    replicate: int
    draw: int
    round: int
    run: Run
    record: Record
    weights_kept: int  # of all weights, exempt layers included
    density: float
    density_total: float
    cost: float | None = None
    line: str = ""
    between: tuple[Node, ...] = ()

    def expected(self) -> ExpectedPoint:
        """The point as reports know it."""
        return ExpectedPoint(
            self.arm,
            self.replicate,
            self.draw,
            self.round,
            self.run.id,
            self.weights_kept,
            self.density,
            self.density_total,
            self.cost,
            self.line,
        )


def with_between(nodes: Iterable[Node]) -> Iterator[Node]:
    """Points, and before each of them what stands between it and the one before, each run once."""
    seen: set[str] = set()
    for node in nodes:
        for inner in node.between:
            if inner.run.id not in seen:
                seen.add(inner.run.id)
                yield inner
        yield node


@dataclass(frozen=True)
class Replicate:
    """All points of one number share its seeds, and with them its dense run."""

    setting: Setting
    number: int

    @cached_property
    def dense(self) -> Run:
        """The training of the dense network."""
        return with_seeds(self.setting, self.number)

    @property
    def mask_seed(self) -> int:
        """What masks and methods draw from."""
        return self.setting.recipe.seeds.of(self.number)["mask"]

    def point(self, arm: Arm, round_: int, run: Run, draw: int = 0) -> Node:
        """The point of a run: its densities follow from the counts that its pruning keeps."""
        sizes, total = self.setting.layers.sizes, self.setting.layers.total
        prunable = sum(sizes.values())
        kept, exempt = _kept(run, sizes), total - prunable
        asked = self.setting.record
        record = replace(
            asked,
            accuracy_at=_within(run, asked.accuracy_at),
            validation_at=_within(run, asked.validation_at),
        )
        return Node(
            arm.name,
            self.number,
            draw,
            round_,
            run,
            record,
            kept + exempt,
            kept / prunable,
            (kept + exempt) / total,
        )

    def between(self, arm: Arm, round_: int, run: Run) -> Node:
        """What an arm trains on its way to a point; nothing is recorded for its own sake."""
        record = Record(measured=self.setting.record.measured)
        return replace(self.point(arm, round_, run), record=record)


def _within(run: Run, wanted: frozenset[int]) -> frozenset[int]:
    """Those of the iterations that the run trains."""
    return frozenset(step for step in wanted if run.begin < step <= run.end)


def _kept(run: Run, sizes: Mapping[str, int]) -> int:
    """How many of the prunable weights a run has; a method may leave dense what others prune."""
    if run.keep is None:
        return sum(sizes.values())
    counted = run.keep if isinstance(run.keep, int) else sum(run.keep.values())
    return counted + sum(size for name, size in sizes.items() if name not in run.prunable)
