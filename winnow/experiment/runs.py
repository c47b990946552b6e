"""A run as a value, and its identity: the node of the graph that a recipe expands to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from winnow.experiment.run_parts import (
    RunData,
    RunDynamic,
    RunModel,
    RunSchedule,
    RunSearch,
    ScoredExamples,
    load_examples,
)

SEMANTICS = 1
"""Raised when the same fields give other numbers: a change of an algorithm, a fixed mistake."""

SPARSE_GRAPHS = 2
"""The revision of what the sparse engine trains as a graph, not as a chain of linear layers.

1 had no strips and no lanes, and shorter rows in its lists: sums were added up in another order.
"""

GIVEN = "given"
"""In place of a criterion: the mask is that of a ticket from a file."""

ALL_IMAGES = math.inf
"""Of how many training images the accuracy is recorded, where it is that of all."""

LEGACY: Mapping[str, Any] = {
    "data.train": None,
    "data.scaling": "standard",
    "data.size": None,
    "data.own": None,
    "dynamic": None,
    "dynamic.options.block": None,
    "dynamic.options.pattern": None,
    "model.init.kept": 1.0,
    "model.init.head": None,
    "model.norm_init": "ones",
    "model.conv_bias": False,
    "model.shortcut": "projection",
    "model.source": None,
    "model.options": {},
    "revision": 1,
    "search": None,
    "search.weights": None,
    "pruning.rounds": 1,
    "pruning.scoring": None,
    "pruning.source": None,
    "pruning.step": None,
    "pruning.invert": False,
    "pruning.least": 0,
    "pruning.given": None,
    "pruning.reinit": "none",
    "pruning.augmented": False,
    "pruning.structure": "none",
    "pruning.units": None,
    "pruning.grain": None,
    "schedule.every": None,
    "schedule.to": 0.0,
    "start.optimizer": "fresh",
    "start.given": None,
    "start.noise": None,
    "start.redrawn": None,
    "start.draw": 0,
}
"""Dotted field → its frozen value before it existed.

A field added later is left out of the hash while it equals this value, so old results stay found;
as the value here never changes, a changed default never collides with an old result.
"""

PLACES = ("data.place", "model.place")
"""Dotted fields that say where something lies, not what it is: never hashed."""


@dataclass(frozen=True)
class Start:
    """What a run trains from.

    ``kind``: ``init`` (the initialisation named by seed and draw), ``state`` (the weights of run
    ``run`` after ``step`` iterations), ``final`` (those at its end), ``given`` (those of a file,
    whose hash the run's search has) or ``operated`` (those at its end, or after ``step``
    iterations, after the surgeon's updates for the weights that the run's pruning removes).
    ``optimizer``: ``fresh``, or ``rewound`` to what it was at ``step`` (momentum, Adam's moments
    and the number of updates), without what belongs to removed weights.
    ``noise``, ``redrawn`` (``survivors`` or ``permuted``): how a control then changes the weights
    under the mask (see `train.disturb`), and the number of its ``draw``. ``given``: the hash of
    weights from a file, where a recipe names a ticket; layers that are not in it keep the
    initialisation of the run.
    """

    kind: str
    run: str | None = None
    step: int | None = None
    optimizer: str = "fresh"
    noise: float | None = None
    redrawn: str | None = None
    draw: int = 0
    given: str | None = None

    @property
    def is_operated(self) -> bool:
        """Whether the surgeon updates the weights first."""
        return self.kind == "operated"


@dataclass(frozen=True)
class Pruning:
    """How a run's mask is derived.

    The final weights of run ``of`` (or those after ``step`` iterations), which has that run's mask,
    are scored by ``criterion``; exactly ``keep`` weights stay (a number: all compete; a mapping: in
    each layer), at least ``least`` in each layer. ``shuffle``: the number of the draw that then
    permutes the mask within each layer, None for the mask itself.

    Without ``of`` the run's own initial weights of draw 0 are scored. Both in ``rounds``
    exponential rounds, which in trained weights end with the update of the criterion's surgeon, if
    it has one. ``invert`` keeps the smallest scores. ``scoring``: the training examples that the
    criterion sees (see `plan.criterion.Scoring`), None for a criterion that needs none.
    ``given``: the hash of the mask of a ticket from a file, which nothing scores; ``keep`` says
    what it keeps. ``source``: the hash of the file of a criterion outside Winnow (see
    `criteria.own`), None for those that it knows by name. ``reinit``: what is
    scored in place of the run's own initial weights (see `plan.kinds.scored_copy`).
    ``augmented``: the examples seen are augmented. ``structure``: whole units go (see
    `recipe.Prune`), and ``units`` says how many each set of them keeps, by its name; ``keep`` is
    what that leaves of each layer. ``grain``: "row" where ``keep`` of a layer is shared out evenly
    over its outputs, of which each keeps its best.
    """

    of: str | None
    criterion: str
    options: Mapping[str, Any]
    prunable: tuple[str, ...]
    keep: int | Mapping[str, int]
    seed: int
    shuffle: int | None = None
    rounds: int = 1
    scoring: ScoredExamples | None = None
    source: str | None = None
    step: int | None = None
    invert: bool = False
    least: int = 0
    given: str | None = None
    reinit: str = "none"
    augmented: bool = False
    structure: str = "none"
    units: Mapping[str, int] | None = None
    grain: str | None = None

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Pruning:
        """The pruning of the plain values that ``dataclasses.asdict`` and JSON give."""
        seen = plain.get("scoring")
        scoring = None if seen is None else load_examples(seen)
        return Pruning(**{**plain, "prunable": tuple(plain["prunable"]), "scoring": scoring})


@dataclass(frozen=True)
class Run:
    """One training of one network: every field that shapes its trajectory, in iterations.

    It trains the iterations ``begin`` to ``end``; the learning-rate schedule ends at ``steps``.
    ``evaluate`` is part of it, as the step of minimum validation loss depends on it.
    ``optimizer``: the rule's name and the options that it has, which differ from rule to rule.
    ``seeds``: by name, only those that something is drawn from. ``dynamic``: the method that
    changes the mask meanwhile. ``search``: the mask search whose scores train instead of weights.
    ``semantics``: `SEMANTICS`; ``revision``: of what trains this run, see `plan.revision`.
    """

    data: RunData
    model: RunModel
    begin: int
    end: int
    steps: int
    batch: int
    last_batch: Literal["keep", "drop"]
    optimizer: Mapping[str, Any]
    schedule: RunSchedule
    clip: float | None
    evaluate: int
    seeds: Mapping[str, int]
    draw: int
    start: Start
    pruning: Pruning | None
    engine: str
    semantics: int = SEMANTICS
    revision: int = 1
    dynamic: RunDynamic | None = None
    search: RunSearch | None = None

    @cached_property
    def id(self) -> str:
        """The full hash, 64 hex digits."""
        return identity(plain_fields(self), LEGACY)

    @property
    def parents(self) -> tuple[str, ...]:
        """The runs whose results this one needs."""
        return tuple(dict.fromkeys(run for run, _ in self.needs))

    @property
    def needs(self) -> tuple[tuple[str, int | None], ...]:
        """The states that this run is made from: a run and an iteration of it, None for its end."""
        pruning, start = self.pruning, self.start
        pruned = [(pruning.of, pruning.step)] if pruning and pruning.of else []
        started = [(start.run, start.step)] if start.run else []
        return tuple(dict.fromkeys([*pruned, *started]))

    @property
    def keep(self) -> int | Mapping[str, int] | None:
        """How many of the weights under its mask the run has at the end; None for dense."""
        if masking := self.dynamic or self.search:
            return masking.keep
        return self.pruning.keep if self.pruning else None

    @property
    def prunable(self) -> tuple[str, ...]:
        """The weights under its mask."""
        if masking := self.dynamic or self.search:
            return masking.prunable
        return self.pruning.prunable if self.pruning else ()

    @property
    def folder(self) -> str:
        """Where the run is stored: a readable prefix and 12 hex digits."""
        keep = "dense" if self.keep is None else self.keep
        kept = keep if isinstance(keep, str | int) else sum(keep.values())
        return f"{self.data.name}-{self.model.name}-{kept}-{self.id[:12]}"


@dataclass(frozen=True)
class Record:
    """What is kept of a run beside its curve and end; provenance, not identity.

    ``accuracy_at``: iterations whose test accuracy is wanted. ``states``: iterations whose full
    state is kept, for rewinding. ``test_curve``: test accuracy and loss at every evaluation.
    ``validation_at``: iterations whose validation accuracy is wanted. ``measured``: of how many
    training images the accuracy at the stop and at the end is wanted, `ALL_IMAGES` for all.
    """

    accuracy_at: frozenset[int] = frozenset()
    states: frozenset[int] = frozenset()
    test_curve: bool = False
    validation_at: frozenset[int] = frozenset()
    measured: float = 0

    def __or__(self, other: Record) -> Record:
        return Record(
            self.accuracy_at | other.accuracy_at,
            self.states | other.states,
            self.test_curve or other.test_curve,
            self.validation_at | other.validation_at,
            max(self.measured, other.measured),
        )

    def covers(self, other: Record) -> bool:
        """Whether all that ``other`` wants is here."""
        return (self | other) == self

    def dump(self) -> dict[str, Any]:
        """Plain values, sorted; the same as before there were ``validation_at`` and ``measured``
        where none of the former and all images are wanted.
        """
        plain: dict[str, Any] = {
            "accuracy_at": sorted(self.accuracy_at),
            "states": sorted(self.states),
            "test_curve": self.test_curve,
        }
        if self.validation_at:
            plain["validation_at"] = sorted(self.validation_at)
        if self.measured != ALL_IMAGES:
            plain["measured"] = int(self.measured)
        return plain

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Record:
        """The record that `dump` gave."""
        return Record(
            frozenset(plain["accuracy_at"]),
            frozenset(plain["states"]),
            plain["test_curve"],
            frozenset(plain.get("validation_at", ())),
            plain.get("measured", ALL_IMAGES),
        )


def load_run(plain: Mapping[str, Any]) -> Run:
    """The run of the plain values that ``dataclasses.asdict`` and JSON give."""
    parts: dict[str, Callable[[Any], Any]] = {
        "data": RunData.load,
        "model": RunModel.load,
        "schedule": RunSchedule.load,
        "start": lambda start: Start(**start),
        "pruning": Pruning.load,
        "dynamic": RunDynamic.load,
        "search": RunSearch.load,
    }
    loaded = {
        name: None if plain.get(name) is None else load(plain[name]) for name, load in parts.items()
    }
    return Run(**{**plain, **loaded})


def plain_fields(value: Any) -> Any:
    """What ``dataclasses.asdict`` gives of a run, in a third of its time, as nothing is copied.

    Mappings and sequences in it are of plain values.
    """
    if hasattr(type(value), "__dataclass_fields__"):
        names = type(value).__dataclass_fields__
        return {name: plain_fields(getattr(value, name)) for name in names}
    return value


def identity(fields: Mapping[str, Any], legacy: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of all fields but `PLACES` and those at their legacy value.

    Raises ValueError for a value that JSON cannot hold exactly (NaN, an object).
    """
    kept = _without_legacy(fields, legacy, "")
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_legacy(value: Any, legacy: Mapping[str, Any], path: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for key, inner in value.items():
        place = f"{path}.{key}" if path else key
        if place in PLACES:
            continue
        if place not in legacy or legacy[place] != inner:
            kept[key] = _without_legacy(inner, legacy, place)
    return kept
