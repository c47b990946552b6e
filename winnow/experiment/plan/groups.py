"""Which runs of a plan can train together as one stack, and where in it each has its place.

A pure function of the plan's runs. It never depends on what is ready or already stored, nor on how
many workers there are: a run's numbers depend on the width of its stack and on its place.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass

from winnow.experiment.runs import Run

WIDEST = 64
"""Runs of a stack at most: enough to keep a GPU busy with small networks."""

_PARAMETERS = 256 * 10**6  # of a stack: 6 GB with gradients, masks and the two slots of Adam

_COMMON = (
    *("data", "batch", "last_batch", "optimizer", "schedule", "clip"),
    *("begin", "end", "steps", "evaluate", "engine"),
)


@dataclass(frozen=True)
class Group:
    """Runs that train as one stack. ``runs``: their identities, each at its place."""

    runs: tuple[str, ...]

    @property
    def width(self) -> int:
        """The width of the stack."""
        return len(self.runs)


def widest(parameters: int) -> int:
    """The width of a stack at most, for a network of so many parameters."""
    return max(1, min(WIDEST, _PARAMETERS // parameters))


def groups_of(runs: Mapping[str, Run], most: int = WIDEST) -> tuple[Group, ...]:
    """The groups of a plan's runs (identity → run, parents before children), in the plan's order.

    A group's runs are equally deep in the graph of parents and alike in all but seeds, masks and
    weights. Where they are more than ``most``, groups of nearly the same width share them. A run
    whose mask changes, or is searched for, is alone.
    """
    depth = _depths(runs)
    alike: dict[Hashable, list[str]] = {}
    for identity, run in runs.items():
        kind = identity if _alone(run) else (depth[identity], _kind(run))
        alike.setdefault(kind, []).append(identity)
    groups = [Group(part) for members in alike.values() for part in _parts(members, most)]
    order = {identity: number for number, identity in enumerate(runs)}
    return tuple(sorted(groups, key=lambda group: order[group.runs[0]]))


def _depths(runs: Mapping[str, Run]) -> dict[str, int]:
    """How many runs have to end, one after the other, before a run can begin."""
    depth: dict[str, int] = {}
    for identity, run in runs.items():
        depth[identity] = max((depth[parent] + 1 for parent in run.parents), default=0)
    return depth


def _alone(run: Run) -> bool:
    return run.dynamic is not None or run.search is not None


def _kind(run: Run) -> str:
    """All that the runs of a stack have in common, as text."""
    fields = asdict(run)
    alike = {name: fields[name] for name in _COMMON}
    alike["model"] = {name: v for name, v in fields["model"].items() if name != "init"}
    start = fields["start"]  # the state of the optimizer: how many updates it has made
    alike["updates"] = start["step"] if start["optimizer"] == "rewound" else 0
    return json.dumps(alike, sort_keys=True)


def _parts(members: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """As few parts of at most ``most`` as there can be, in turn, of sizes that differ by 1."""
    count = -(-len(members) // most)
    ends = [len(members) * part // count for part in range(count + 1)]
    return [tuple(members[a:b]) for a, b in itertools.pairwise(ends)]
