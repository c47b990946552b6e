"""An analysis as a value, and its identity: the second kind of node of the graph.

An analysis never trains. It is computed once by a worker from the states of finished runs, stored
as rows, and never repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from winnow.experiment.runs import identity

FINAL = "final"
START = "start"


@dataclass(frozen=True)
class Analysed:
    """What of a run is analysed: its state ``at`` the end (``final``), where its training begins
    (``start``), or after ``step-N`` iterations.
    """

    run: str
    at: str = FINAL

    @property
    def step(self) -> int | None:
        """The iteration whose state must have been recorded, None for the ends."""
        return int(self.at.removeprefix("step-")) if self.at.startswith("step-") else None


@dataclass(frozen=True)
class SeenData:
    """The images that an analysis sees: a split of a dataset, scaled as for training.

    ``examples``: the first so many of the split's order, None for all.
    """

    name: str
    content: str
    validation: int
    scaling: str
    split: str
    examples: int | None


@dataclass(frozen=True)
class Analysis:
    """One computation: which function (`winnow.experiment.measures`), its options in full, what of
    which runs, which of their weights, on which images (None for none), in which type of numbers.
    ``semantics`` is that of the function: raised when it gives other numbers.
    """

    name: str
    options: Mapping[str, Any]
    subjects: tuple[Analysed, ...]
    prunable: tuple[str, ...]
    data: SeenData | None
    semantics: int
    numbers: str = "float32"

    @cached_property
    def id(self) -> str:
        """The full hash, 64 hex digits."""
        return identity({"analysis": asdict(self)}, {})

    @property
    def folder(self) -> str:
        """Where it is stored: a readable prefix and 12 hex digits."""
        return f"{self.name}-{self.id[:12]}"

    @property
    def parents(self) -> tuple[str, ...]:
        """The runs that must have ended."""
        return tuple(dict.fromkeys(subject.run for subject in self.subjects))

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Analysis:
        """The analysis of the plain values that ``dataclasses.asdict`` and JSON give."""
        subjects = tuple(Analysed(**subject) for subject in plain["subjects"])
        data = None if plain["data"] is None else SeenData(**plain["data"])
        names = tuple(plain["prunable"])
        return Analysis(**{**plain, "subjects": subjects, "prunable": names, "data": data})
