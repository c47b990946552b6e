"""Methods that prune at initialisation, each a criterion, and the controls that check them.

Controls share their method's densities, order of data and budget; the mask of a ``shuffled`` or
``reinit`` control comes from the scores of the method's own initial weights, as its own mask does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from winnow.algorithms.at_init import usual_rounds
from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.experiment.arms import Arm
from winnow.experiment.plan.criterion import Scoring, resolve_scoring
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.kinds.controls import arms_of_controls, control_arm
from winnow.experiment.plan.kinds.scored import least_of, rounds_of_scoring
from winnow.experiment.plan.kinds.scored_copy import COPY_WORDS, ScoredCopy, scored_copy_of
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.recipe.compare import InitControls
from winnow.experiment.runs import Run

_TEXT = """In a comparison: ``rounds`` of scoring, exponentially to the density; ``least``: the
weights that each layer keeps at least; ``reinit``: scores other initial weights than those that
train, of the same-distribution (official SNIP) or xavier (GraSP's SNIP); ``augmented``: true to see
augmented examples, as training does; ``controls``: further arms, those of compare.controls by
default, or own ones: {shuffled: 1, reinit: 1, inverted: true} (Frankle et al. 2021)."""


@dataclass(frozen=True)
class AtInitKind:
    """Initial weights are scored and pruned, then the network is trained."""

    name: KindName = "at initialisation"
    panel: str = "Pruned at initialisation"
    cost: str = "one training"

    def options(self, entry: CatalogueEntry) -> dict[str, object]:
        """Those of its criterion, of the examples that it sees, and of pruning by it."""
        scoring = resolve_scoring(entry.name, {})
        return {
            **scoring.all_options,
            **({} if entry.is_control else {"reinit": "none"}),
            **({} if scoring.examples is None else {"augmented": False}),
            "rounds": usual_rounds(entry.name),
            "least": 0,
            "ignore": [],
            "controls": {} if entry.is_control else "compare.controls",
        }

    def text(self, entry: CatalogueEntry) -> str:  # noqa: ARG002
        """The options that criteria do not have themselves."""
        return _TEXT

    def plan(self, method: ComparedMethod) -> PlannedAtInit:
        """The method, ready to be planned."""
        name = method.spec.name
        rounds, least = rounds_of_scoring(method, usual_rounds(name)), least_of(method)
        own = method.without("rounds", "least", *COPY_WORDS).options
        scoring = resolve_scoring(name, own)
        copy = scored_copy_of(method, scoring)
        return PlannedAtInit(method, scoring, copy, rounds, least, _controls(method))


@dataclass(frozen=True)
class PlannedAtInit:
    """A method at initialisation: how it scores what, in how many rounds, and its controls."""

    method: ComparedMethod
    scoring: Scoring
    copy: ScoredCopy
    rounds: int
    least: int
    controls: InitControls

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Its own arm, then its controls'."""
        return (self.method.arm, *arms_of_controls(self.method.arm, self.controls))

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """A point for each density, with its controls."""
        for index, density in enumerate(self.method.densities, 1):
            run = self._run(replicate, density)
            yield replicate.point(self.method.arm, index, run)
            yield from self._control_points(replicate, index, run)

    def _run(self, replicate: Replicate, density: float) -> Run:
        pruning = self.scoring.pruning(
            tuple(self.method.shapes),
            self.method.keep(density),
            seed=replicate.mask_seed,
            least=self.least,
        )
        pruning = self.copy.of(replace(pruning, rounds=self.rounds, grain=self.method.grain))
        return replace(replicate.dense, pruning=pruning)

    def _control_points(self, replicate: Replicate, index: int, run: Run) -> Iterator[Node]:
        assert run.pruning is not None
        for draw in range(1, self.controls.shuffled + 1):
            shuffled = replace(run, pruning=replace(run.pruning, shuffle=draw))
            yield replicate.point(self._control("shuffled"), index, shuffled, draw)
        for draw in range(1, self.controls.reinit + 1):
            yield replicate.point(self._control("reinit"), index, replace(run, draw=draw), draw)
        if self.controls.inverted:
            inverted = replace(run, pruning=replace(run.pruning, invert=True))
            yield replicate.point(self._control("inverted"), index, inverted)

    def _control(self, kind: str) -> Arm:
        return control_arm(self.method.arm, kind)


def _controls(method: ComparedMethod) -> InitControls:
    """Those of the method, else those of the comparison; none for what is a control itself."""
    if method.spec.controls is not None:
        return method.spec.controls
    return InitControls() if method.entry.is_control else method.compare.controls
