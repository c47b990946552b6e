"""What is done of a plan, and what is still to be made: the one place that asks the store.

A run that only stands in a table of exported results is done, unless something that is missing
begins from its weights or is an analysis of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from winnow.experiment.plan.plan import Planned
from winnow.experiment.runs import Record
from winnow.experiment.store.analyses import find_analysis
from winnow.experiment.store.exported import Exported, read_exported
from winnow.experiment.store.lacking import least_lacking
from winnow.experiment.store.store import Store
from winnow.experiment.unreachable import unreachable_runs


@dataclass(frozen=True)
class PlanStatus:
    """``runs``: identity → ``done``, ``diverged``, ``unreachable`` or ``missing``, for each of a
    plan. ``unmade``: identities of the analyses that are not stored. ``again``: iterations that
    are trained again of finished runs, which are missing only because more is to be recorded.
    """

    runs: Mapping[str, str]
    unmade: frozenset[str]
    again: Mapping[str, int] = field(default_factory=dict)


def plan_status(plan: Planned, store: Store) -> PlanStatus:
    """What is done of a plan. Raises UserError: a table of exported results is damaged."""
    exported = read_exported(store.path)
    stored = {i: store.find(run, plan.records[i]) for i, run in plan.runs.items()}
    ended = {identity: found.result.status for identity, found in stored.items() if found}
    only_exported = {
        i: status for i, status in _exported_status(plan, exported).items() if i not in ended
    }
    unmade = frozenset(
        point.node.id
        for point in plan.analyses
        if point.node.id not in exported.analyses
        and find_analysis(store, point.node.folder, point.node.id) is None
    )
    known = {**ended, **only_exported}
    for identity in _needed_again(plan, known, only_exported, unmade):
        del known[identity]
    lost = unreachable_runs({i: run.parents for i, run in plan.runs.items()}, known)
    runs = {i: known.get(i, "unreachable" if i in lost else "missing") for i in plan.runs}
    return PlanStatus(runs, unmade, _again(plan, store, runs))


def _again(plan: Planned, store: Store, status: Mapping[str, str]) -> dict[str, int]:
    """Iterations that missing runs need which are stored, with less than is to be recorded."""
    again = {}
    for identity in (i for i, one in status.items() if one == "missing"):
        if side := least_lacking(store.copies(plan.runs[identity]), plan.records[identity]):
            again[identity] = side[1].iterations
    return again


def status_of(plan: Planned, store: Store) -> dict[str, str]:
    """Identity → what is done of each run of a plan: see `PlanStatus`."""
    return dict(plan_status(plan, store).runs)


def _exported_status(plan: Planned, exported: Exported) -> dict[str, str]:
    """The runs of a plan whose results stand in tables, with all that is to be recorded of them."""
    return {
        i: found.result.status
        for i, found in exported.runs.items()
        if i in plan.runs and found.record.covers(without_states(plan.records[i]))
    }


def without_states(record: Record) -> Record:
    """A record without the states that it asks for, which tables do not hold."""
    return replace(record, states=frozenset())


def _needed_again(
    plan: Planned, known: Mapping[str, str], exported: Mapping[str, str], unmade: frozenset[str]
) -> set[str]:
    """The exported runs whose weights something that is to be made needs."""
    needed: set[str] = set()
    for point in plan.analyses:
        if point.node.id in unmade:
            needed |= set(point.node.parents) & exported.keys()
    for identity in reversed(list(plan.runs)):  # children before parents
        if identity not in known or identity in needed:
            needed |= {p for p in plan.runs[identity].parents if exported.get(p) == "done"}
    return {i for i in needed if exported.get(i) == "done"}
