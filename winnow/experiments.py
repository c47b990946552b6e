"""``wn.run``: a whole experiment from a recipe, and its report. What the command line calls."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from winnow import report
from winnow.errors import UserError
from winnow.experiment.expected import Experiment, write_experiment
from winnow.experiment.plan.plan import Plan, expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.experiments import stored_experiments
from winnow.experiment.store.images import find_source, find_source_offline, remember_source
from winnow.experiment.store.store import Store
from winnow.experiment.store.weights import copy_weights
from winnow.experiment.train.executor import Event, Settings, execute


@dataclass(frozen=True)
class Outcome:
    """What an experiment gave: ``results`` (rows and curves) and the files of its report."""

    results: report.Results
    paths: report.Paths

    @property
    def rows(self) -> tuple[report.Row, ...]:
        """One row for each replicate, arm, draw and round."""
        return self.results.rows

    @property
    def verdict(self) -> str:
        """The winning-ticket verdict in words."""
        return report.verdict_text(report.verdict(self.results))

    @property
    def brief_verdict(self) -> str:
        """Of the verdict: tickets against dense and against reinitialisation, and the caveats.

        Where methods are compared, all of it.
        """
        return report.verdict_text(report.main_verdict(self.results))

    @property
    def brief(self) -> str:
        """One sentence of verdict and a small table; where methods are compared, their table."""
        return report.brief_text(self.results)

    @property
    def table(self) -> str:
        """The table of densities and arms as plain text; where methods are compared, the short one:
        a line for each method, a column for each density.
        """
        if report.compares(self.results):
            return report.methods_text(report.by_method(self.results))
        return report.table_text(report.by_density(self.results))

    @property
    def page(self) -> Path:
        """The report's page."""
        return self.paths.page


def run(
    recipe: str,
    *,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    replicates: int | None = None,
    only: Sequence[str] = (),
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    checkpoint: float = 60.0,
    on_plan: Callable[[Plan, Store], Callable[[Event], None]] | None = None,
) -> Outcome:
    """Run what is missing of a recipe, then write and return its report.

    ``recipe``: a shipped name or a path. ``overrides``: ``"key=value"`` texts, or a mapping of
    dotted keys. ``only``: arms to run, with the runs that they need. ``store``: the folder of
    finished runs (default ``$WINNOW_STORE``, else ``./runs``); nothing in it is trained again.
    ``jobs``: worker processes (default: the cores); ``checkpoint``: seconds between checkpoints;
    neither changes a number. ``on_plan`` is called before training and returns what is told the
    events. The report goes to ``STORE/reports/RECIPE``.

    Raises UserError for bad input, DiskError when the store is full, WorkerError for a defect.
    """
    loaded = load_recipe(recipe, as_texts(overrides), replicates)
    source = find_source(loaded)
    plan = expand(recipe, loaded, source)
    plan = plan.only(only) if only else plan
    place = Store(store_path(store)).open()
    remember_source(source, loaded, place)
    copy_weights(loaded, place)
    tell = on_plan(plan, place) if on_plan else None
    settings = Settings(check_jobs(jobs), checkpoint, _provenance(plan))
    experiment = plan.experiment()
    write_experiment(experiment, place.path)  # first, so that reports know what is to come
    execute(plan, place, settings, tell)
    results = report.read_results(experiment, place)
    command = _command(recipe, as_texts(overrides), replicates, only)
    paths = report.write_report([results], place.path / "reports" / _slug(recipe), command=command)
    return Outcome(results, paths)


def plan_offline(
    recipe: str,
    store: Store,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    replicates: int | None = None,
    only: Sequence[str] = (),
) -> tuple[Plan, str | None]:
    """The plan of a recipe, for what trains nothing, and a note if its images are unknown here."""
    loaded = load_recipe(recipe, as_texts(overrides), replicates)
    source, note = find_source_offline(loaded, store)
    plan = expand(recipe, loaded, source)
    return plan.only(only) if only else plan, note


def experiments_offline(
    recipe: str,
    store: Store,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    replicates: int | None = None,
    only: Sequence[str] = (),
) -> tuple[list[Experiment], str | None]:
    """What to report of a recipe: the experiment that it plans, or those that the store remembers.

    The second where nothing can be planned (a recipe file, a criterion or the images are not here)
    and nothing is changed: then one for each set of overrides that was run, and a note on why.
    Raises UserError: neither is possible.
    """
    changed = bool(overrides or only or replicates is not None)
    try:
        plan, reason = plan_offline(recipe, store, overrides, replicates, only)
        planned = [plan.experiment()]
    except UserError as error:
        if changed or not (stored := stored_experiments(store, recipe)):
            raise
        return stored, _as_run(recipe, stored, str(error))
    if reason and not changed and (stored := stored_experiments(store, recipe)):
        return stored, _as_run(recipe, stored, reason)
    return planned, None


def _as_run(recipe: str, stored: Sequence[Experiment], reason: str) -> str:
    times = "" if len(stored) == 1 else f", in {len(stored)} ways"
    return (
        f"note: {recipe} is reported as it was run{times}, as it cannot be planned here: {reason}"
    )


def as_texts(overrides: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Overrides as ``key=value`` texts. Raises UserError for a bare string."""
    if isinstance(overrides, str):
        raise UserError(f"overrides is {overrides!r}: give a list of them, [{overrides!r}]")
    if isinstance(overrides, Mapping):
        dumped = {k: yaml.safe_dump(v, default_flow_style=True) for k, v in overrides.items()}
        return [f"{k}={text.removesuffix('...' + chr(10)).strip()}" for k, text in dumped.items()]
    return list(overrides)


def store_path(store: str | os.PathLike[str] | None) -> Path:
    """The store to use: the one given, else ``$WINNOW_STORE``, else ``./runs``."""
    return Path(store or os.environ.get("WINNOW_STORE") or "runs")


def check_jobs(jobs: int | None) -> int:
    """The number of workers: as asked, else the cores this process may use."""
    if jobs is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}: at least 1 worker is needed, e.g. --jobs 2")
    return jobs


def _slug(recipe: str) -> str:
    return Path(recipe).stem if recipe.endswith((".yaml", ".yml")) else recipe.replace("/", "-")


def _command(
    recipe: str, overrides: Sequence[str], replicates: int | None, only: Sequence[str]
) -> str:
    """What a user would type for this experiment."""
    words = ["winnow", "run", recipe, *(word for text in overrides for word in ("-o", text))]
    words += ["--replicates", str(replicates)] if replicates is not None else []
    words += [word for arm in only for word in ("--only", arm)]
    return shlex.join(words)


def _provenance(plan: Plan) -> dict[str, Any]:
    """What is stored with each run beside its identity: code, machine, the full recipe."""
    import platform

    import torch

    from winnow import __version__

    return {
        "winnow": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "recipe_name": plan.name,
        "recipe": plan.recipe.dump(),
    }
