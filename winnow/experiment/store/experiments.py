"""The experiments of a store: what `winnow.experiment.expected` wrote of each that was run."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from winnow.experiment.expected import (
    ExpectedPoint,
    Experiment,
    FormatError,
    read_experiment,
    slug_of,
)
from winnow.experiment.store.store import Store


def stored_experiments(store: Store, name: str) -> list[Experiment]:
    """What was run of a recipe, by its name or path as it was given then; sorted by hash.

    One for each set of overrides, so that reports need no plan, no images and no criteria. A
    damaged file is set aside and one of another version left out; both are reported on standard
    error.
    """
    folders = store.path.glob(f"experiments/{slug_of(name)}-{'[0-9a-f]' * 12}")
    stored = [_read(store, folder) for folder in sorted(folders)]
    return [experiment for experiment in stored if experiment and experiment.name == name]


def _read(store: Store, folder: Path) -> Experiment | None:
    path = folder / "experiment.json"
    try:
        return check_experiment(folder)
    except FileNotFoundError:  # it is being written
        return None
    except FormatError as error:
        print(f"left out: {path}: {error}", file=sys.stderr)
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        store.set_aside(folder, str(error))
        return None


def check_experiment(folder: Path) -> Experiment:
    """The experiment of a folder. Raises FormatError; OSError, ValueError, KeyError, TypeError or
    AttributeError if it is damaged.
    """
    experiment = read_experiment(folder / "experiment.json")
    if not folder.name.endswith(f"-{experiment.hash[:12]}"):
        raise ValueError("it is not what the name of its folder says")
    return experiment


def experiments_with(store: Store, run: str) -> list[Experiment]:
    """What was run of any recipe in which a run, by its identity, is a point; sorted by folder."""
    files = sorted(store.path.glob("experiments/*/experiment.json"))
    folders = [path.parent for path in files if run in _text(path)]
    stored = [_read(store, folder) for folder in folders]
    return [one for one in stored if one and any(point.run == run for point in one.points)]


def points_of_runs(
    store: Store, runs: Collection[str]
) -> dict[str, tuple[Experiment, ExpectedPoint]]:
    """Where runs, by identity, stand: the first experiment with it, and its point."""
    found: dict[str, tuple[Experiment, ExpectedPoint]] = {}
    for path in sorted(store.path.glob("experiments/*/experiment.json")):
        text = _text(path)
        wanted = {run for run in runs if run not in found and run in text}
        experiment = _read(store, path.parent) if wanted else None
        for point in experiment.points if experiment else ():
            if experiment and point.run in wanted:
                found.setdefault(point.run, (experiment, point))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):  # one that is damaged holds no run
        return ""
