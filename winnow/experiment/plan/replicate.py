"""The points of an experiment: which run stands where, and how runs of one replicate are made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from winnow import criteria
from winnow.algorithms.rounds import Round
from winnow.allocation import check_least
from winnow.experiment.expected import ExpectedPoint
from winnow.experiment.plan import criterion as scoring
from winnow.experiment.plan.resolve import Layers
from winnow.experiment.plan.restart import Restart
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Pruning, Record, Run


@dataclass(frozen=True)
class Node:
    """A point of the experiment: which run stands for which arm, replicate, draw and round.

    ``cost``, where methods are compared: epochs of training and scoring, all of what the run needs
    included.
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
        )


@dataclass(frozen=True)
class Replicate:
    """What all points of one replicate have in common."""

    recipe: Recipe
    layers: Layers
    record: Record
    restart: Restart
    dense: Run
    replicate: int
    per_epoch: int

    @property
    def rewind_word(self) -> str:
        """What the walk of rounds takes: epochs are iterations by now."""
        step = self.restart.step
        return f"{step}it" if step else self.recipe.prune.rewind

    def point(self, arm: str, round_: int, run: Run, draw: int = 0) -> Node:
        """The node of a run: its densities follow from the counts its pruning keeps."""
        sizes, total = self.layers.sizes, self.layers.total
        keep = sum(sizes.values()) if run.keep is None else run.keep
        kept = keep if isinstance(keep, int) else sum(keep.values())
        if run.keep is not None:  # a method may leave dense what others prune
            kept += sum(n for name, n in sizes.items() if name not in run.prunable)
        exempt = total - sum(sizes.values())
        return Node(
            arm,
            self.replicate,
            draw,
            round_,
            run,
            replace(self.record, accuracy_at=self._within(run)),
            kept + exempt,
            kept / sum(sizes.values()),
            (kept + exempt) / total,
        )

    def _within(self, run: Run) -> frozenset[int]:
        return frozenset(step for step in self.record.accuracy_at if run.begin < step <= run.end)

    @property
    def mask_seed(self) -> int:
        """What masks and methods draw from."""
        return self.recipe.seeds.of(self.replicate)["mask"]

    def pruning(self, parent: Run, step: Round, restart: Restart) -> Pruning:
        """How the mask of a round comes from its parent's trained weights."""
        prune = self.recipe.prune
        assert step.keep is not None
        check_least(step.keep, self.layers.sizes, prune.least, "prune.least")
        return Pruning(
            of=parent.id,
            criterion=prune.criterion,
            options=scoring.own(prune.options),
            prunable=tuple(self.layers.sizes),
            keep=step.keep if isinstance(step.keep, int) else dict(step.keep),
            seed=self.mask_seed,
            scoring=scoring.resolved(prune.criterion, prune.options)[1],
            source=criteria.source_of(prune.criterion),
            step=restart.pruned_at(parent),
            least=prune.least,
        )

    def ticket(self, step: Round, parent: Run, restart: Restart | None = None) -> Run:
        """The run of a round: its mask, and what its training restarts from."""
        how = restart or self.restart
        return how.run(self.dense, parent, self.pruning(parent, step, how))
