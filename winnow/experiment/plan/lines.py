"""The plans of all lines of a recipe together: one graph, in which lines share runs by identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from winnow.errors import UserError, unknown
from winnow.experiment.arms import Arm
from winnow.experiment.expected import Experiment
from winnow.experiment.plan.analyses import AnalysisPoint
from winnow.experiment.plan.plan import Plan, Planned, check_arms, expand, experiment_of, records_of
from winnow.experiment.plan.replicate import Node
from winnow.experiment.plan.size import check_plan_size
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.images import Source


@dataclass(frozen=True)
class Lines:
    """A recipe with lines, expanded: the plan of each, in the recipe's order."""

    name: str
    recipe: Recipe
    plans: tuple[Plan, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The points of all lines, one line after the other."""
        return tuple(node for plan in self.plans for node in plan.nodes)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Identity → run, each once, parents first."""
        return {identity: run for plan in self.plans for identity, run in plan.runs.items()}

    @cached_property
    def records(self) -> dict[str, Record]:
        """Identity → all that any line wants recorded of the run."""
        return records_of(self.nodes)

    @property
    def analyses(self) -> tuple[AnalysisPoint, ...]:
        """The analyses of all lines."""
        return tuple(point for plan in self.plans for point in plan.analyses)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that any line has, in the order of tables."""
        return tuple(dict.fromkeys(arm for plan in self.plans for arm in plan.arms))

    def experiment(self) -> Experiment:
        """All that a report needs to know of it, as data."""
        return experiment_of(self)


def expand_lines(
    name: str, recipe: Recipe, sources: Mapping[str, Source], confirmed: bool = False
) -> Planned:
    """The plan of a recipe with all of its lines, on the images of each dataset.

    UserError for what does not fit together. NeedsConfirmingError, before anything is built, for
    a very large one that nobody has ``confirmed`` (`winnow.experiment.plan.size`).
    """
    check_plan_size(name, recipe, confirmed)
    plans = tuple(
        _expand(name, line, own, sources[own.data.key]) for line, own in recipe.by_line().items()
    )
    if not recipe.lines:
        return plans[0]
    lines = Lines(name, recipe, plans)
    _check_arms(lines)
    return lines


def recording_too(planned: Planned, others: Iterable[Planned]) -> Planned:
    """The same plan, whose runs record what other plans want of them, too."""
    wanted: dict[str, Record] = {}
    for other in others:
        for identity, record in other.records.items():
            wanted[identity] = wanted.get(identity, Record()) | record

    def recording(node: Node) -> Node:
        between = tuple(map(recording, node.between))
        record = node.record | wanted.get(node.run.id, Record())
        return replace(node, record=record, between=between)

    plans = tuple(replace(plan, nodes=tuple(map(recording, plan.nodes))) for plan in planned.plans)
    return replace(planned, plans=plans) if isinstance(planned, Lines) else plans[0]


def part_of(planned: Planned, *, arms: Sequence[str] = (), lines: Sequence[str] = ()) -> Planned:
    """Some arms of some lines, with all runs that they need; all of what is left empty.

    A line that has none of the arms is left out. Raises UserError: no such arm or line.
    """
    kept = _named(planned, lines) if lines else planned.plans
    if arms:
        check_arms(arms, list(dict.fromkeys(a for plan in kept for a in plan.arm_names)))
        kept = tuple(
            plan.only([arm for arm in arms if arm in plan.arm_names])
            for plan in kept
            if set(arms) & set(plan.arm_names)
        )
    return replace(planned, plans=kept) if isinstance(planned, Lines) else kept[0]


def _named(planned: Planned, lines: Sequence[str]) -> tuple[Plan, ...]:
    there = [plan.line for plan in planned.plans]
    if isinstance(lines, str):
        raise UserError(f"lines is {lines!r}: give a list of them, [{lines!r}]")
    for line in lines:
        if line not in there:
            hint = f"This recipe has {', '.join(there)}" if any(there) else "This recipe has none"
            raise unknown("line", line, there, hint)
    return tuple(plan for plan in planned.plans if plan.line in lines)


def _expand(name: str, line: str, recipe: Recipe, source: Source) -> Plan:
    try:
        return expand(name, recipe, source, line)
    except UserError as error:
        if not line:
            raise
        raise UserError(f"line {line}: {error}") from None


def _check_arms(lines: Lines) -> None:
    """UserError for a name that stands for one arm here and for another one there."""
    seen: dict[str, Arm] = {}
    for arm in lines.arms:
        if seen.setdefault(arm.name, arm) != arm:
            raise UserError(
                f"{arm.name} is one arm in some lines and another one in others: give one a label"
            )
