"""The analyses of a plan: which computation stands for which arm, replicate and round."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from winnow.amounts import iterations
from winnow.errors import UserError, unknown
from winnow.experiment.analyses import Analysed, Analysis, SeenData
from winnow.experiment.arms import DENSE, TICKET
from winnow.experiment.expected import AnalysisPlace, ExpectedAnalysis
from winnow.experiment.measures import find_measure
from winnow.experiment.measures.kind import MeasureKind
from winnow.experiment.plan.replicate import Node
from winnow.experiment.plan.setting import Setting, plain
from winnow.experiment.recipe.analyses import AnalysisSpec


@dataclass(frozen=True)
class AnalysisPoint(AnalysisPlace):
    """An analysis in a plan: its place, and what is computed."""

    node: Analysis

    def expected(self) -> ExpectedAnalysis:
        """The analysis as reports know it."""
        node = self.node
        return ExpectedAnalysis(
            **self.place(), id=node.id, folder=node.folder, parents=node.parents
        )


def analyses_of(setting: Setting, nodes: Sequence[Node], line: str) -> tuple[AnalysisPoint, ...]:
    """All analyses that a recipe names, of the points that it plans.

    UserError for a name, an arm, an option or a state that there is not.
    """
    specs = setting.recipe.analyses
    keys = [spec.key for spec in specs]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"the analysis {key} stands twice: give one a label")
    return tuple(point for spec in specs for point in _Asked(setting, spec, line).points(nodes))


@dataclass(frozen=True)
class _Asked:
    """One analysis of a recipe, and what it is asked of."""

    setting: Setting
    spec: AnalysisSpec
    line: str

    @property
    def measure(self) -> MeasureKind:
        return find_measure(self.spec.name)

    def points(self, nodes: Sequence[Node]) -> Iterator[AnalysisPoint]:
        self._check(nodes)
        chosen = self._chosen(nodes)
        if self.spec.pairs:
            yield from self._pairs(chosen)
        elif self.spec.against is not None:
            yield from self._against(chosen, nodes)
        else:
            for node in chosen:
                yield self._point(node, None, [Analysed(node.run.id, self._state(self.spec.at))])

    def _pairs(self, chosen: Sequence[Node]) -> Iterator[AnalysisPoint]:
        """Every two of the runs in one replicate and round, of one arm each if so asked; draws
        number the pairs.
        """
        groups: defaultdict[tuple[int, int, str], list[Node]] = defaultdict(list)
        for node in chosen:
            arm = node.arm if self.spec.pairs == "arm" else ""
            groups[node.replicate, node.round, arm].append(node)
        at = self._state(self.spec.at)
        for members in groups.values():
            for draw, (one, other) in enumerate(itertools.combinations(members, 2)):
                subjects = [Analysed(one.run.id, at), Analysed(other.run.id, at)]
                yield self._point(one, other.arm, subjects, draw)

    def _against(self, chosen: Sequence[Node], nodes: Sequence[Node]) -> Iterator[AnalysisPoint]:
        """Each run beside that of another arm; beside the same draw of it, or else its first."""
        other, at = self.spec.against, self._state(self.spec.at)
        beside = at if self.spec.against_at is None else self._state(self.spec.against_at)
        found: dict[tuple[int, int, int], Node] = {}
        for node in nodes:
            if _stands_for(node, str(other)):
                round_ = 0 if other == DENSE else node.round
                found.setdefault((node.replicate, round_, node.draw), node)
                found.setdefault((node.replicate, round_, -1), node)
        for node in chosen:
            round_ = 0 if other == DENSE else node.round
            pair = found.get((node.replicate, round_, node.draw)) or found.get(
                (node.replicate, round_, -1)
            )
            if pair is not None and (pair is not node or beside != at):
                subjects = [Analysed(node.run.id, at), Analysed(pair.run.id, beside)]
                yield self._point(node, other, subjects)

    def _point(
        self, node: Node, against: str | None, subjects: Sequence[Analysed], draw: int | None = None
    ) -> AnalysisPoint:
        measure, run = self.measure, node.run
        data = None
        if measure.needs_data:
            about = run.data
            data = SeenData(
                about.name,
                about.content,
                about.validation,
                about.scaling,
                self.spec.split,
                self.spec.examples,
            )
        analysis = Analysis(
            measure.name,
            plain({**(measure.options or {}), **self.spec.options}),
            tuple(subjects),
            tuple(self.setting.layers.sizes),
            data,
            measure.semantics,
            measure.numbers,
        )
        return AnalysisPoint(
            self.spec.key,
            DENSE if node.round == 0 else node.arm,
            against,
            node.replicate,
            node.draw if draw is None else draw,
            node.round,
            node.density,
            node.density_total,
            node.weights_kept,
            analysis,
            line=self.line,
        )

    def _chosen(self, nodes: Sequence[Node]) -> list[Node]:
        """The points of the arms asked for, at the densities asked for."""
        arms = self.spec.arms
        shown = [n for n in nodes if not arms or any(_stands_for(n, arm) for arm in arms)]
        if not self.spec.densities:
            return shown
        trained = sorted({node.density_total for node in shown if node.density_total > 0})
        near = {
            min(trained, key=_farness(wanted / 100)) for wanted in self.spec.densities if trained
        }
        return [
            node
            for node in shown
            if any(_farness(node.density_total)(density) < _SAME for density in near)
        ]

    def _state(self, at: str) -> str:
        """A state's name: steps in iterations."""
        if at in ("final", "start"):
            return at
        step = iterations(at, self.setting.per_epoch)
        if not 0 < step <= self.setting.dense.steps:
            raise UserError(
                f"the analysis {self.spec.key} looks at iteration {step}: training has iterations "
                f"1 to {self.setting.dense.steps}"
            )
        return f"step-{step}"

    def _check(self, nodes: Sequence[Node]) -> None:
        spec, measure = self.spec, self.measure
        two = bool(spec.pairs) or spec.against is not None
        if two != (measure.subjects == 2):
            how = "against: ARM, or pairs: true" if measure.subjects == 2 else "neither of them"
            raise UserError(
                f"the analysis {spec.key} is of {measure.subjects} run(s) at a time: write {how}"
            )
        if not measure.needs_data and (spec.split != "train" or spec.examples is not None):
            raise UserError(f"the analysis {spec.key} sees no images: leave out split and examples")
        if spec.split == "validation" and not self.setting.recipe.data.validation:
            raise UserError(
                f"the analysis {spec.key} sees the validation images, and none are held out: write "
                "data.validation, or another split"
            )
        there = list(dict.fromkeys([DENSE, *(node.arm for node in nodes)]))
        for arm in [*spec.arms, *([spec.against] if spec.against else [])]:
            if arm not in there and not self.line:
                raise unknown("arm", arm, there, f"The analysis {spec.key} names it")
        for option in spec.options:
            if option not in (measure.options or {}):
                known = list(measure.options or {})
                raise unknown("option", option, known, f"{measure.name} has {known or 'none'}")


_SAME = math.log(1.05)  # masks pruned at once and round by round differ by rounding


def _farness(density: float) -> Callable[[float], float]:
    return lambda other: abs(math.log(other / density))


def _stands_for(node: Node, arm: str) -> bool:
    """Whether a point belongs to an arm. The dense network is `DENSE`, and the first ticket."""
    if arm == DENSE:
        return node.round == 0
    return node.arm == arm and (node.round > 0 or arm == TICKET.name)


def steps_needed(points: Sequence[AnalysisPoint]) -> Mapping[str, frozenset[int]]:
    """Run → the iterations whose states its analyses look at."""
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for point in points:
        for subject in point.node.subjects:
            if subject.step is not None:
                wanted[subject.run].add(subject.step)
    return {run: frozenset(steps) for run, steps in wanted.items()}
