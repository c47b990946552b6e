"""What an experiment consists of, as data: written by the plan, read by the report.

STORE/experiments/NAME-HASH12/experiment.json holds all that a report needs beside the runs
themselves, so that reports are made without a plan, its images or its criteria.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from winnow.digest import sealed_json, unsealed_json
from winnow.experiment.arms import Arm
from winnow.experiment.runs import Record, plain_fields
from winnow.files import write_whole

EXPERIMENT_FORMAT = 1
_KEYS = ("format", "name", "recipe", "arms", "points", "runs", "analyses")  # without a digest


class FormatError(ValueError):
    """A file that another version of Winnow wrote, and that is not damaged."""


@dataclass(frozen=True)
class ExpectedRun:
    """A run that an experiment needs: its identity, its folder, its parents' identities, the
    iterations that it trains (``begin`` to ``end``; the schedule ends at ``steps``), and what is to
    be recorded of it.
    """

    id: str
    folder: str
    parents: tuple[str, ...]
    begin: int
    end: int
    steps: int
    record: Record


@dataclass(frozen=True)
class ExpectedPoint:
    """A point of an experiment: which run stands for which arm, replicate, draw and round.

    ``weights_kept`` of all weights, exempt layers included; ``density`` of the prunable weights,
    ``density_total`` of all. ``cost``, where methods are compared: epochs of training and scoring,
    all of what the run needs included. ``line``: the variant of the recipe, empty without lines.
    """

    arm: str
    replicate: int
    draw: int
    round: int
    run: str
    weights_kept: int
    density: float
    density_total: float
    cost: float | None = None
    line: str = ""

    def dump(self) -> dict[str, Any]:
        """Plain values; without lines the same as before there were any."""
        plain = asdict(self)
        if not self.line:
            del plain["line"]
        return plain


@dataclass(frozen=True)
class AnalysisPlace:
    """Where an analysis stands in an experiment: under which name of the recipe (``key``), of which
    arm (and beside which, ``against``), at which round. Densities are those of the arm's run.
    """

    key: str
    arm: str
    against: str | None
    replicate: int
    draw: int
    round: int
    density: float
    density_total: float
    weights_kept: int
    line: str = field(default="", kw_only=True)

    def place(self) -> dict[str, Any]:
        """The fields of the place alone, by name."""
        return {one.name: getattr(self, one.name) for one in fields(AnalysisPlace)}


@dataclass(frozen=True)
class ExpectedAnalysis(AnalysisPlace):
    """An analysis of an experiment: its place, and which computation it is: its identity, its
    folder, the runs that it is of.
    """

    id: str
    folder: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """All of an experiment: the recipe in full, its arms in the order of tables, points and runs.

    ``runs``: parents first. Points and analyses are in the plan's order.
    """

    name: str
    recipe: Mapping[str, Any]
    arms: tuple[Arm, ...]
    points: tuple[ExpectedPoint, ...]
    runs: tuple[ExpectedRun, ...]
    analyses: tuple[ExpectedAnalysis, ...] = ()

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all of it, in hex."""
        text = json.dumps(self.dump(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """Plain values; without analyses the same as before there were any."""
        plain = {
            "format": EXPERIMENT_FORMAT,
            "name": self.name,
            "recipe": dict(self.recipe),
            "arms": [arm.dump() for arm in self.arms],
            "points": [point.dump() for point in self.points],
            "runs": [
                {**plain_fields(run), "parents": list(run.parents), "record": run.record.dump()}
                for run in self.runs
            ],
        }
        if self.analyses:
            analyses = [{**asdict(one), "parents": list(one.parents)} for one in self.analyses]
            plain["analyses"] = analyses
        return plain

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Experiment:
        """The experiment that `dump` gave. Raises FormatError; ValueError, KeyError or TypeError
        for what is damaged.
        """
        if plain["format"] != EXPERIMENT_FORMAT:
            raise FormatError(f"its format is {plain['format']}, not {EXPERIMENT_FORMAT}")
        experiment = Experiment(
            plain["name"],
            plain["recipe"],
            tuple(Arm(**arm) for arm in plain["arms"]),
            tuple(ExpectedPoint(**point) for point in plain["points"]),
            tuple(
                ExpectedRun(
                    **{
                        **run,
                        "parents": tuple(run["parents"]),
                        "record": Record.load(run["record"]),
                    }
                )
                for run in plain["runs"]
            ),
            tuple(
                ExpectedAnalysis(**{**one, "parents": tuple(one["parents"])})
                for one in plain.get("analyses", ())
            ),
        )
        _check_names(experiment)
        return experiment


def _check_names(experiment: Experiment) -> None:
    """ValueError for a point or a run that names what is not there."""
    runs = {run.id for run in experiment.runs}
    arms = {arm.name for arm in experiment.arms}
    named = {parent for run in experiment.runs for parent in run.parents}
    named |= {point.run for point in experiment.points}
    named |= {parent for one in experiment.analyses for parent in one.parents}
    strange = (named - runs) | ({point.arm for point in experiment.points} - arms)
    if strange:
        raise ValueError(f"it names {', '.join(sorted(strange))}, and does not say what that is")


def slug_of(name: str) -> str:
    """The name of a recipe, or its path, as part of a file's name: lth/digits → lth-digits."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "recipe"


def write_experiment(experiment: Experiment, store: Path) -> Path:
    """Write ``experiment.json`` into a store's folder, whole; the file. Raises OSError."""
    folder = f"{slug_of(experiment.name)}-{experiment.hash[:12]}"
    path = store / "experiments" / folder / "experiment.json"
    write_whole(path, sealed_json(experiment.dump()))
    return path


def read_experiment(path: Path) -> Experiment:
    """The experiment of a file. Raises FormatError; OSError, ValueError, KeyError or TypeError if
    it is damaged.
    """
    return Experiment.load(unsealed_json(path.read_bytes(), _KEYS)[0])
