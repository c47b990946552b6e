"""Methods that prune trained networks: fine-tuned, iterative and one-shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from winnow import criteria
from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.experiment.arms import Arm
from winnow.experiment.plan.criterion import Scoring, resolve_scoring
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.kinds.scored import least_of, rounds_of_scoring
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.restart import RESTART_WORDS, Restart, restart_of
from winnow.experiment.recipe.prune import USUAL_CRITERION
from winnow.experiment.runs import Run

_TEXT = """In a comparison, training before and after the pruning. ``rewind``: what networks train
from: init (the initial weights); a step (500it: weights, batch norm statistics, place in the
schedule and order of data of the dense training there; after its first steps, late resetting); none
(the trained weights; the schedule goes on, beyond its end at the last learning rate); lr (the
trained weights, the schedule's last fine_tune steps again; Renda et al. 2020). ``train``: steps
before a network is pruned, where it is not trained to the end: the interpolation to pruning at
initialisation that Lévai & Zombori (2020) propose. ``fine_tune``: steps of training after none and
lr (0it: the network as it was pruned). ``optimizer``: fresh, or rewound with the weights (not with
init). ``least``: weights that each layer keeps at least."""


@dataclass(frozen=True)
class TrainedKind:
    """Networks are trained, scored and pruned, then trained again.

    ``is_criterion``: a method is the criterion that scores, and fine-tunes by default; otherwise
    the criterion is an option, and networks restart as the recipe's ``prune.rewind`` says.
    ``chained``: each density prunes the network of the density before, not the dense one.
    """

    name: KindName
    cost: str
    is_criterion: bool = False
    chained: bool = False
    panel: str = "Pruned after training"

    def options(self, entry: CatalogueEntry) -> dict[str, object]:
        """Those of scoring, then those of training before and after it."""
        around = {"train": "train.steps", "fine_tune": "train.steps", "optimizer": "fresh"}
        rest = {**around, "least": 0, "ignore": []}
        if not self.is_criterion:
            return {"criterion": USUAL_CRITERION, "rewind": "prune.rewind", **rest}
        own = resolve_scoring(entry.name, {}).all_options
        return {**own, "rewind": "none", "rounds": 1, **rest}

    def text(self, entry: CatalogueEntry) -> str:  # noqa: ARG002
        """The options around a pruning."""
        return _TEXT

    def plan(self, method: ComparedMethod) -> PlannedTrained:
        """The method, ready to be planned."""
        rounds = rounds_of_scoring(method, usual=1) if self.is_criterion else 1
        restart, least = self._restart(method), least_of(method)
        return PlannedTrained(self, method, restart, self._scoring(method), rounds, least)

    def _restart(self, method: ComparedMethod) -> Restart:
        """What stands beside the method's name of training around its pruning."""
        usual = "none" if self.is_criterion else method.setting.recipe.prune.rewind
        said = {word: method.options.get(word) for word in RESTART_WORDS}
        written = {"rewind": usual} | {w: value for w, value in said.items() if value is not None}
        follow = len(method.densities) if self.chained else 1
        return restart_of(written, method.setting, rounds=follow, method=method.arm.name)

    def _scoring(self, method: ComparedMethod) -> Scoring:
        method = method.without(*RESTART_WORDS, "least")
        if self.is_criterion:
            return resolve_scoring(method.spec.name, method.without("rounds").options)
        criterion = method.options.get("criterion", USUAL_CRITERION)
        return resolve_scoring(criterion, method.without("criterion").options)


FINE_TUNED = TrainedKind("fine-tuned", "a dense training, then one more", is_criterion=True)
ITERATIVE = TrainedKind(
    "iterative", "a dense training, then one for each density so far", chained=True
)
PRUNED_ONCE = TrainedKind("one-shot", "a dense training, then one more")


@dataclass(frozen=True)
class PlannedTrained:
    """A method that prunes trained networks: what it scores by, and what happens around that."""

    kind: TrainedKind
    method: ComparedMethod
    restart: Restart
    scoring: Scoring
    rounds: int
    least: int

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Its own arm."""
        return (self.method.arm,)

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """A point for each density."""
        parent = replicate.dense
        for index, density in enumerate(self.method.densities, 1):
            run = self._run(replicate, parent, density)
            yield replicate.point(self.method.arm, index, run)
            parent = run if self.kind.chained else replicate.dense

    def _run(self, replicate: Replicate, parent: Run, density: float) -> Run:
        pruning = self.scoring.pruning(
            tuple(self.method.shapes),
            self.method.keep(density),
            seed=replicate.mask_seed,
            least=self.least,
        )
        step = self.restart.pruned_at(parent)
        pruning = replace(pruning, of=parent.id, step=step, rounds=self.rounds)
        run = self.restart.run(replicate.dense, parent, pruning)
        if self._has_surgeon and self.restart.goes_on:
            return replace(run, start=replace(run.start, kind="operated"))
        return run

    @property
    def _has_surgeon(self) -> bool:
        """Whether the method moves the weights that stay."""
        function = criteria.get_criterion(self.scoring.criterion)
        return self.kind.is_criterion and criteria.traits_of(function).surgeon is not None
