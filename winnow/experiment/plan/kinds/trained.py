"""Methods that prune trained networks: fine-tuned, iterative and one-shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from winnow import criteria
from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.allocation import Keep
from winnow.errors import UserError
from winnow.experiment.arms import Arm
from winnow.experiment.plan.criterion import Scoring, resolve_scoring
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.kinds.controls import arms_of_controls, control_arm
from winnow.experiment.plan.kinds.scored import least_of, rounds_of_scoring
from winnow.experiment.plan.kinds.walk import WalkStep, walk_of
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.restart import RESTART_WORDS, Restart, restart_of
from winnow.experiment.recipe.compare import InitControls
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
init). ``least``: weights that each layer keeps at least. ``controls``: {shuffled: 1, reinit: 1} for
arms with its masks permuted within layers, or other initial weights, trained to the end."""

_RATE = """``rate``: what a round removes of the weights left, 0.2 for a fifth, in as many rounds as
lead to each density; the last before it lands on its count. null: one round from each to the next.
"""


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
        rest = {**around, "least": 0, "ignore": [], "controls": {}}
        if not self.is_criterion:
            walk = {"rate": None} if self.chained else {}
            return {"criterion": USUAL_CRITERION, **walk, "rewind": "prune.rewind", **rest}
        own = resolve_scoring(entry.name, {}).all_options
        return {**own, "rewind": "none", "rounds": 1, **rest}

    def text(self, entry: CatalogueEntry) -> str:  # noqa: ARG002
        """The options around a pruning."""
        return f"{_TEXT}\n{_RATE}" if self.chained else _TEXT

    def plan(self, method: ComparedMethod) -> PlannedTrained:
        """The method, ready to be planned."""
        rounds = rounds_of_scoring(method, usual=1) if self.is_criterion else 1
        walk, least = self._walk(method), least_of(method)
        restart = self._restart(method, len(walk) if self.chained else 1)
        scoring, controls = self._scoring(method), _controls(method)
        return PlannedTrained(self, method, restart, scoring, rounds, least, walk, controls)

    def _walk(self, method: ComparedMethod) -> tuple[WalkStep, ...]:
        """What each pruning keeps."""
        return walk_of(method if self.chained else method.without("rate"))

    def _restart(self, method: ComparedMethod, follow: int) -> Restart:
        """What stands beside the method's name of training around its pruning."""
        usual = "none" if self.is_criterion else method.setting.recipe.prune.rewind
        said = {word: method.options.get(word) for word in RESTART_WORDS}
        written = {"rewind": usual} | {w: value for w, value in said.items() if value is not None}
        return restart_of(written, method.setting, rounds=follow, method=method.arm.name)

    def _scoring(self, method: ComparedMethod) -> Scoring:
        method = method.without(*RESTART_WORDS, "least", *(["rate"] if self.chained else []))
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
    walk: tuple[WalkStep, ...]
    controls: InitControls

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Its own arm, then its controls'."""
        return (self.method.arm, *arms_of_controls(self.method.arm, self.controls))

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """A point for each density, with its controls; rounds in between stand before theirs."""
        arm, parent, between, number = self.method.arm, replicate.dense, list[Node](), 1
        for step in self.walk:
            plain = self._pruned(replicate, parent, step.keep)
            run = self._operated(plain)
            if step.number is None:
                between.append(replicate.between(arm, number, run))
            else:
                way = tuple(between)
                yield replace(replicate.point(arm, step.number, run), between=way)
                for point in self._control_points(replicate, step.number, plain):
                    yield replace(point, between=way)
                between, number = [], step.number + 1
            parent = run if self.kind.chained else replicate.dense

    def _control_points(self, replicate: Replicate, number: int, plain: Run) -> Iterator[Node]:
        """Networks under the mask permuted, from the weights that the method starts from before any
        surgeon; then under the mask, from other initial weights.
        """
        assert plain.pruning is not None
        for draw in range(1, self.controls.shuffled + 1):
            shuffled = replace(plain, pruning=replace(plain.pruning, shuffle=draw))
            yield replicate.point(self._control("shuffled"), number, shuffled, draw)
        for draw in range(1, self.controls.reinit + 1):
            again = replace(replicate.dense, pruning=plain.pruning, draw=draw)
            yield replicate.point(self._control("reinit"), number, again, draw)

    def _control(self, kind: str) -> Arm:
        return control_arm(self.method.arm, kind)

    def _pruned(self, replicate: Replicate, parent: Run, keep: Keep) -> Run:
        """The training of a network that is pruned from its parent."""
        pruning = self.scoring.pruning(
            tuple(self.method.shapes),
            keep,
            seed=replicate.mask_seed,
            least=self.least,
        )
        step = self.restart.pruned_at(parent)
        pruning = replace(
            pruning, of=parent.id, step=step, rounds=self.rounds, grain=self.method.grain
        )
        return self.restart.run(replicate.dense, parent, pruning)

    def _operated(self, run: Run) -> Run:
        """The same, from the weights that the method's surgeon leaves, if it has one."""
        if self._has_surgeon and self.restart.goes_on:
            return replace(run, start=replace(run.start, kind="operated"))
        return run

    @property
    def _has_surgeon(self) -> bool:
        """Whether the method moves the weights that stay."""
        function = criteria.get_criterion(self.scoring.criterion)
        return self.kind.is_criterion and criteria.traits_of(function).surgeon is not None


def _controls(method: ComparedMethod) -> InitControls:
    """Its own ones; those of the comparison are of methods at initialisation."""
    own = method.spec.controls or InitControls()
    if own.inverted:
        raise UserError(
            f"controls of {method.arm.name}: inverted checks what prunes at initialisation, and it "
            "prunes trained networks: leave it out there; shuffled and reinit are those that it has"
        )
    return own
