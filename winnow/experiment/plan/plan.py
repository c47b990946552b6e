"""A plan: the graph of runs that a recipe expands to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from winnow.errors import UserError, unknown
from winnow.experiment.arms import ROUND_BY_ROUND, Arm
from winnow.experiment.expected import ExpectedRun, Experiment
from winnow.experiment.plan.analyses import AnalysisPoint, analyses_of, steps_needed
from winnow.experiment.plan.comparison import comparison_of
from winnow.experiment.plan.cost import with_costs
from winnow.experiment.plan.doubts import doubts_of
from winnow.experiment.plan.groups import Group, groups_of, widest
from winnow.experiment.plan.replicate import Node, Replicate, with_between
from winnow.experiment.plan.rounds import rounds_of
from winnow.experiment.plan.setting import Setting, setting_of
from winnow.experiment.recipe.network import network
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.images import Source


@dataclass(frozen=True)
class Plan:
    """All points of an experiment, or of one of its lines; parents come first."""

    name: str
    recipe: Recipe
    nodes: tuple[Node, ...]
    possible: tuple[Arm, ...]  # arms that the recipe can have, in the order of tables
    whole: Plan | None = None  # the recipe's, where this is a part of it
    line: str = ""
    analyses: tuple[AnalysisPoint, ...] = ()
    doubts: tuple[str, ...] = ()  # options without effect, or with one that nobody can mean

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plan of each line: this one."""
        return (self,)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Identity → run, each once, parents first."""
        return {node.run.id: node.run for node in with_between(self.nodes)}

    @cached_property
    def records(self) -> dict[str, Record]:
        """Identity → all that the experiment wants recorded of the run."""
        return records_of(self.nodes)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Runs that can share a stack: of all that the recipe plans, whatever part this is."""
        parameters = sum(weight.numel() for weight in network(self.recipe).parameters())
        return groups_of((self.whole or self).runs, widest(parameters))

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that this experiment has, in the order of tables."""
        present = {node.arm for node in self.nodes}
        return tuple(arm for arm in self.possible if arm.name in present)

    @property
    def arm_names(self) -> list[str]:
        """The names of `arms`."""
        return [arm.name for arm in self.arms]

    def experiment(self) -> Experiment:
        """All that a report needs to know of it, as data."""
        return experiment_of(self)

    def only(self, arms: Sequence[str]) -> Plan:
        """The points of some arms and all runs that they need. Raises UserError: unknown arm.

        What they need is shown as points of the arms that they derive from and of those that go
        from round to round; the dense networks always are.
        """
        check_arms(arms, self.arm_names)
        needed = self._needed([n.run.id for n in self.nodes if n.arm in arms or n.round == 0])
        derived = {arm.of for arm in self.possible if arm.name in arms}
        shown = {*arms, *derived, *(arm.name for arm in ROUND_BY_ROUND)}
        kept = [n for n in self.nodes if n.run.id in needed and n.arm in shown]
        runs = {node.run.id for node in kept}
        analyses = [point for point in self.analyses if set(point.node.parents) <= runs]
        whole = self.whole or self
        return replace(self, nodes=tuple(kept), whole=whole, analyses=tuple(analyses))

    def _needed(self, wanted: list[str]) -> set[str]:
        """Some runs, and all that these are made from."""
        needed: set[str] = set()
        while wanted:
            if (run := wanted.pop()) not in needed:
                needed.add(run)
                wanted += self.runs[run].parents
        return needed


def check_arms(arms: Sequence[str], there: Sequence[str]) -> None:
    """UserError for an arm that is not among those that are there."""
    if isinstance(arms, str):
        raise UserError(f"only is {arms!r}: give a list of arms, [{arms!r}]")
    for arm in arms:
        if arm not in there:
            raise unknown("arm", arm, there, f"This recipe has {', '.join(there)}")


class Planned(Protocol):
    """What is planned, of one line or of several: `Plan` or `winnow.experiment.plan.lines.Lines`.

    ``plans``: that of each line. The others are those of all lines together.
    """

    @property
    def name(self) -> str: ...

    @property
    def recipe(self) -> Recipe: ...

    @property
    def plans(self) -> tuple[Plan, ...]: ...

    @property
    def nodes(self) -> tuple[Node, ...]: ...

    @property
    def arms(self) -> tuple[Arm, ...]: ...

    @property
    def runs(self) -> Mapping[str, Run]: ...

    @property
    def records(self) -> Mapping[str, Record]: ...

    @property
    def analyses(self) -> tuple[AnalysisPoint, ...]: ...

    def experiment(self) -> Experiment: ...


def doubts_in(planned: Planned) -> tuple[str, ...]:
    """What of the recipe has no effect, or one that nobody can mean, a sentence each; of several
    lines each once, with the line, or how many have it.
    """
    lines: dict[str, list[str]] = {}
    for plan in planned.plans:
        for doubt in plan.doubts:
            lines.setdefault(doubt, []).append(plan.line)
    return tuple(f"{_before(found)}{doubt}" for doubt, found in lines.items())


def _before(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"line {lines[0]}{more}: " if lines[0] else ""


def records_of(nodes: Iterable[Node]) -> dict[str, Record]:
    """Identity → all that is wanted recorded of the run, by any point."""
    records: dict[str, Record] = {}
    for node in with_between(nodes):
        records[node.run.id] = records.get(node.run.id, Record()) | node.record
    return records


def experiment_of(planned: Planned) -> Experiment:
    """All that a report needs to know of an experiment, as data."""
    runs = tuple(
        ExpectedRun(i, run.folder, run.parents, run.begin, run.end, run.steps, planned.records[i])
        for i, run in planned.runs.items()
    )
    points = tuple(node.expected() for node in planned.nodes)
    analyses = tuple(point.expected() for point in planned.analyses)
    return Experiment(planned.name, planned.recipe.dump(), planned.arms, points, runs, analyses)


class ExperimentArms(Protocol):
    """What a recipe asks for: its arms and their points. Either rounds of pruning or a comparison.

    ``arms``: in the order of tables. ``in_turn``: the same, in the order in which the runs of a
    round come.
    """

    @property
    def arms(self) -> tuple[Arm, ...]: ...

    @property
    def in_turn(self) -> tuple[Arm, ...]: ...

    def points(self, replicate: Replicate) -> Iterator[Node]: ...


def expand(name: str, recipe: Recipe, source: Source, line: str = "") -> Plan:
    """The plan of a recipe without lines, or of one ``line`` of it, on given images.

    Raises UserError for what does not fit together.
    """
    setting = setting_of(recipe, source)
    asked = _asked(setting)
    replicates = [Replicate(setting, number) for number in range(recipe.replicates)]
    points = [point for replicate in replicates for point in asked.points(replicate)]
    if recipe.compare is not None:
        points = with_costs(points, setting)
    turn = {arm.name: place for place, arm in enumerate(asked.in_turn)}
    points.sort(key=lambda point: (point.round, turn[point.arm]))  # replicates stay in order
    analyses = analyses_of(setting, points, line)
    nodes = tuple(_in_line(p, line) for p in _with_states(points, steps_needed(analyses)))
    doubts = doubts_of(setting, points)
    return Plan(name, recipe, nodes, asked.arms, line=line, analyses=analyses, doubts=doubts)


def _asked(setting: Setting) -> ExperimentArms:
    compare = setting.recipe.compare
    return rounds_of(setting) if compare is None else comparison_of(setting, compare)


def _in_line(point: Node, line: str) -> Node:
    """The point, and what stands before it, as those of a line."""
    return replace(point, line=line, between=tuple(_in_line(b, line) for b in point.between))


def _with_states(points: Sequence[Node], analysed: Mapping[str, frozenset[int]]) -> list[Node]:
    """The points with the states that others begin from, or that are analysed, to be recorded."""
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for point in with_between(points):
        for identity, step in point.run.needs:
            wanted[identity].update(() if step is None else (step,))
    for identity, steps in analysed.items():
        wanted[identity] |= steps

    def recording(point: Node) -> Node:
        record = replace(point.record, states=frozenset(wanted[point.run.id]))
        return replace(point, record=record, between=tuple(map(recording, point.between)))

    return [recording(point) for point in points]
