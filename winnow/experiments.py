"""``wn.run``: a whole experiment from a recipe, and its report. What the command line calls."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from winnow import report
from winnow.errors import NeedsConfirmingError, OptionWarning, UserError
from winnow.experiment.expected import Experiment, slug_of, write_experiment
from winnow.experiment.plan.lines import expand_lines, part_of, recording_too
from winnow.experiment.plan.plan import Planned, doubts_in
from winnow.experiment.plan.size import check_plan_size
from winnow.experiment.recipe.code import check_no_code
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.recipe.names import called
from winnow.experiment.recipe.objects import names_of_objects, plain_values, recipe_file
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.scales import FULL
from winnow.experiment.store.analyses import find_analysis
from winnow.experiment.store.experiments import stored_experiments
from winnow.experiment.store.exported import (
    MadeAnalysis,
    write_exported,
    write_exported_analyses,
)
from winnow.experiment.store.images import (
    FindOffline,
    Source,
    find_sources,
    find_sources_offline,
    remember_sources,
)
from winnow.experiment.store.store import LostStoreError, Store
from winnow.experiment.store.tickets import copy_ticket
from winnow.experiment.store.weights import copy_weights
from winnow.experiment.train.executor import Event, Settings, execute
from winnow.experiment.train.pools.local import usable_cores
from winnow.experiment.train.status import plan_status
from winnow.outside import CodeRefusedError, running_code
from winnow.report.frame import as_frame
from winnow.report.notebook import outcome_html
from winnow.report.placing import report_folder

if TYPE_CHECKING:
    import pandas

YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Outcome:
    """What an experiment gave: ``results`` (rows and curves) and the files of its report."""

    results: report.Results
    paths: report.Paths

    @property
    def rows(self) -> pandas.DataFrame | tuple[report.Row, ...]:
        """One row for each replicate, arm, draw and round: a data frame with the columns of
        rows.csv where pandas is here, else ``results.rows``, which are plain values everywhere.
        """
        frame = as_frame([self.results])
        return self.results.rows if frame is None else frame

    def _repr_html_(self) -> str:
        """What Jupyter shows: title, answer, claims, the first figure, a small table."""
        figure = next((path for path in self.paths.figures if path.suffix == ".svg"), None)
        return outcome_html(self.results, figure, self.page)

    def __repr__(self) -> str:
        return f"Outcome({self.results.name!r}: {self.answer} page: {self.page})"

    @property
    def verdict(self) -> str:
        """The winning-ticket verdict in words, of each line."""
        return self._of_lines(lambda part: report.verdict_text(report.verdict(part)))

    @property
    def brief_verdict(self) -> str:
        """Of the verdict: tickets against dense and against reinitialisation, and the caveats.

        Where methods are compared, all of it.
        """
        return self._of_lines(lambda part: report.verdict_text(report.main_verdict(part)))

    @property
    def answer(self) -> str:
        """What came out, in one sentence with its number and its doubt."""
        return report.answer(self.results)

    @property
    def brief(self) -> str:
        """The answer and a small table of each line; where methods are compared, their table."""
        return report.brief_text(self.results)

    @property
    def table(self) -> str:
        """The table of densities and arms as plain text; where methods are compared, the short one:
        a line for each method, a column for each density.
        """
        return self._of_lines(_table)

    def _of_lines(self, write: Callable[[report.Results], str]) -> str:
        """What is written of each line of the recipe, under its name; without lines just that."""
        texts = [(part.line, write(part)) for part in report.by_line(self.results)]
        return "\n\n".join(f"line {line}\n{text}" if line else text for line, text in texts)

    @property
    def page(self) -> Path:
        """The report's page."""
        return self.paths.page


def _table(results: report.Results) -> str:
    if report.compares(results):
        return report.methods_text(report.by_method(results))
    return report.table_text(report.by_density(results))


@dataclass(frozen=True)
class Asked:
    """What is asked for: a recipe (a shipped name or a path), at a scale, changed or in part.

    ``overrides``: ``key=value`` texts. ``only``: arms; ``lines``: variants of the recipe; all
    where they are empty. ``confirmed``: it may be very large (`winnow.experiment.plan.size`).
    ``code``: the recipe may name functions outside Winnow, which planning it runs.
    """

    recipe: str
    overrides: tuple[str, ...] = ()
    replicates: int | None = None
    only: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    scale: str = FULL
    confirmed: bool = field(default=False, compare=False)
    code: bool = field(default=True, compare=False)

    def load(self) -> Recipe:
        """The recipe; nothing that it names is imported. Raises UserError (CodeRefusedError: it
        runs code outside Winnow, and none is wanted).
        """
        recipe = load_recipe(self.recipe, self.overrides, self.replicates, self.scale)
        if not self.code:
            check_no_code(recipe, self.recipe)
        return recipe

    def plan(self, recipe: Recipe, sources: Mapping[str, Source]) -> Planned:
        """What is asked for of a recipe that `load` gave. Raises UserError."""
        planned = expand_lines(self.recipe, recipe, sources, self.confirmed)
        return part_of(planned, arms=self.only, lines=self.lines)

    @property
    def is_changed(self) -> bool:
        """Whether it is other than the recipe at this scale."""
        return self != Asked(self.recipe, scale=self.scale)

    @property
    def folder(self) -> str:
        """The name of its report's folder: recipe, scale and a hash of what is changed."""
        slug = slug_of(Path(self.recipe).stem if self.recipe.endswith(YAML) else self.recipe)
        parts = [slug, *([self.scale] if self.scale != FULL else [])]
        if self.is_changed:
            said = (self.overrides, self.replicates, self.only, self.lines)
            parts.append(hashlib.sha256(json.dumps(said).encode()).hexdigest()[:6])
        return "-".join(parts)

    @property
    def command(self) -> str:
        """What a user would type for it."""
        words = ["winnow", "run", self.recipe]
        words += ["--scale", self.scale] if self.scale != FULL else []
        words += [word for text in self.overrides for word in ("-o", text)]
        words += ["--replicates", str(self.replicates)] if self.replicates is not None else []
        words += [word for arm in self.only for word in ("--only", arm)]
        words += [word for line in self.lines for word in ("--line", line)]
        return shlex.join(words)


def ask(
    recipe: str,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    replicates: int | None = None,
    only: Sequence[str] = (),
    lines: Sequence[str] = (),
    scale: str = FULL,
) -> Asked:
    """What is asked for, as a value. A name is replaced by that of the recipe that it means.

    Raises UserError: a bare string where a list belongs, a figure that no recipe stands for.
    """
    for name, what, given in (("only", "arms", only), ("lines", "lines", lines)):
        if isinstance(given, str):
            raise UserError(f"{name} is {given!r}: give a list of {what}, [{given!r}]")
    meant = called(recipe)
    chosen = tuple(lines) or meant.lines
    return Asked(meant.recipe, tuple(as_texts(overrides)), replicates, tuple(only), chosen, scale)


def run(
    recipe: str | Mapping[str, Any],
    *,
    model: str | Callable[..., Any] | None = None,
    data: Any = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    replicates: int | None = None,
    only: Sequence[str] = (),
    lines: Sequence[str] = (),
    scale: str = FULL,
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    checkpoint: float = 60.0,
    confirm: bool = False,
    code: bool = True,
    on_plan: Callable[[Planned, Store], Callable[[Event], None]] | None = None,
    beside: Sequence[Planned] = (),
) -> Outcome:
    """Run what is missing of a recipe, then write and return its report.

    ``recipe``: a shipped name, a figure or table, a path, or a mapping of its keys, which is
    written into the store. ``model``: in place of ``model.name``, a function that builds the
    network, or a class; ``data``: in place of ``data.name``, ``{"train": (x, y), "test": (x, y)}``
    as tensors or arrays, or a folder (docs/own-model-and-data.md). ``overrides``: ``"key=value"``
    texts, or a mapping of dotted keys. ``only``: arms to run, with the runs that they need;
    ``lines``: variants of the recipe; ``scale``: full, small or smoke, where the recipe has them.
    ``store``: the folder of finished runs (default ``$WINNOW_STORE``, else ``./runs``); nothing in
    it is trained again. ``jobs``: worker processes (default: the cores); ``threads``: of each, for
    the sparse engine (default: its share of the cores); ``checkpoint``: seconds between
    checkpoints; none changes a number. ``confirm``: plan and run it even if it is very large (more
    than 10,000 runs, or a network of more than 500 million weights). ``code=False``: refuse a
    recipe that names functions outside Winnow, before anything is imported. ``on_plan`` is called
    before training and returns what is told the events; where there is none, OptionWarning says
    what of the recipe has no effect. ``beside``: plans of other experiments in this store; what
    they want recorded of the same runs is recorded at once. The report goes to
    ``STORE/reports/RECIPE``, with the scale and a hash of what is changed behind; and one of the
    recipe, where another one of that name has been there.

    Raises UserError for bad input (NeedsConfirmingError: it is very large; CodeRefusedError: it
    runs code), DiskError when the store is full, WorkerError for a defect.
    """
    recipe, overrides = _with_objects(recipe, overrides, model, data, store)
    asked = ask(recipe, overrides, replicates, only, lines, scale)
    asked = replace(asked, confirmed=confirm, code=code)
    with running_code(code):
        return _run(asked, store, jobs, threads, checkpoint, on_plan, beside)


def _run(
    asked: Asked,
    store: str | os.PathLike[str] | None,
    jobs: int | None,
    threads: int | None,
    checkpoint: float,
    on_plan: Callable[[Planned, Store], Callable[[Event], None]] | None,
    beside: Sequence[Planned],
) -> Outcome:
    loaded = asked.load()
    check_plan_size(asked.recipe, loaded, asked.confirmed)
    sources = find_sources(loaded)
    plan = asked.plan(loaded, sources)
    place = Store(store_path(store)).open()
    remember_sources(sources, place)
    copy_weights(loaded, place)
    copy_ticket(loaded, place)
    for doubt in () if on_plan else doubts_in(plan):
        warnings.warn(f"{plan.name}: {doubt}", OptionWarning, stacklevel=3)
    tell = on_plan(plan, place) if on_plan else _warn
    about = provenance_of(plan)
    settings = Settings(check_jobs(jobs), checkpoint, about, check_threads(threads))
    experiment = plan.experiment()
    write_experiment(experiment, place.path)  # first, so that reports know what is to come
    execute(recording_too(plan, beside) if beside else plan, place, settings, tell)
    results = report.read_results(experiment, place)
    _check_kept(plan, place, results)
    is_file = asked.recipe.endswith(YAML)
    whose = loaded.dump() if is_file else asked.recipe
    folder = report_folder(place.path / "reports", asked.folder, whose)
    return Outcome(results, report.write_report([results], folder, command=asked.command))


def plans_of(asked: Sequence[Asked]) -> list[Planned]:
    """The plans of several recipes, for `run` to record what all of them want of a run at once."""
    plans = []
    for one in asked:
        with running_code(one.code):
            loaded = one.load()
            check_plan_size(one.recipe, loaded, one.confirmed)
            plans.append(one.plan(loaded, find_sources(loaded)))
    return plans


def _warn(event: Event) -> None:
    """What is told even where nobody watches."""
    if event.kind == "waiting":
        print(event.text, file=sys.stderr, flush=True)


def _check_kept(plan: Planned, store: Store, results: report.Results) -> None:
    """LostStoreError where runs that were finished are not in the store any more."""
    store.check_there()
    if results.missing:
        status = plan_status(plan, store).runs
        if lost := sum(one == "missing" for one in status.values()):
            raise LostStoreError(
                store.path, f"{lost} runs were finished and are not there any more"
            )


def _with_objects(
    recipe: str | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any],
    model: Any,
    data: Any,
    store: str | os.PathLike[str] | None,
) -> tuple[str, Sequence[str] | Mapping[str, Any]]:
    """The recipe's name or file, and the overrides, with the network and data that are given."""
    names = names_of_objects(model, data, store_path(store))
    if isinstance(recipe, Mapping):
        Store(store_path(store)).open()
        return recipe_file(recipe, names, store_path(store)), overrides
    return recipe, [*as_texts(overrides), *as_texts(names)] if names else overrides


def plan_offline(
    asked: Asked, store: Store, recipe: Recipe | None = None, find: FindOffline | None = None
) -> tuple[Planned, str | None]:
    """The plan of a recipe, for what trains nothing, and a note if its images are unknown here.

    ``recipe``: what ``asked.load()`` gives, where somebody has loaded it already; ``find`` as for
    `find_sources_offline`.
    """
    loaded = asked.load() if recipe is None else recipe
    with running_code(asked.code):
        check_plan_size(asked.recipe, loaded, asked.confirmed)
        sources, note = find_sources_offline(loaded, store, find)
        return asked.plan(loaded, sources), note


def experiments_offline(
    asked: Asked, store: Store, recipe: Recipe | None = None, find: FindOffline | None = None
) -> tuple[list[Experiment], str | None]:
    """What to report of a recipe: the experiment that it plans, or those that the store remembers.

    The second where nothing can be planned (a recipe file, a criterion or the images are not here)
    and nothing is changed: then one for each set of overrides that was run, and a note on why.
    ``recipe``, ``find`` as for `plan_offline`. Raises UserError: neither is possible.
    """
    name, changed = asked.recipe, asked.is_changed
    try:
        plan, reason = plan_offline(asked, store, recipe, find)
        planned = [plan.experiment()]
    except (CodeRefusedError, NeedsConfirmingError):
        raise
    except UserError as error:
        if changed or not (stored := stored_experiments(store, name)):
            raise
        return stored, _as_run(name, stored, str(error))
    if reason and not changed and (stored := stored_experiments(store, name)):
        return stored, _as_run(name, stored, reason)
    return planned, None


def export(asked: Asked, store: Store, out: Path) -> tuple[list[Path], int]:
    """Write what is finished of a recipe into tables in the folder ``out``, without states.

    The files, and how many of the recipe's runs are in none. What stands in a table already stays.
    Raises UserError: nothing is finished, the images are unknown here, or a table is damaged.
    """
    plan, note = plan_offline(asked, store)
    if note:
        raise UserError(f"{asked.recipe} cannot be exported: {note}")
    found = [store.find_named(run.folder, i) for i, run in plan.runs.items()]
    runs = [one for one in found if one]
    if not runs:
        raise UserError(f"nothing of {asked.recipe} is finished in {store.path}")
    name = asked.folder
    paths = [write_exported(out, name, runs)]
    made = [
        MadeAnalysis(point.node, rows)
        for point in plan.analyses
        if (rows := find_analysis(store, point.node.folder, point.node.id)) is not None
    ]
    if made:
        paths.append(write_exported_analyses(out, name, made))
    remember_sources(find_sources_offline(plan.recipe, store)[0], Store(out))
    return paths, len(found) - len(runs)


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
        plain = plain_values(overrides, "overrides")
        dumped = {k: yaml.safe_dump(v, default_flow_style=True) for k, v in plain.items()}
        return [f"{k}={text.removesuffix('...' + chr(10)).strip()}" for k, text in dumped.items()]
    return list(overrides)


def store_path(store: str | os.PathLike[str] | None) -> Path:
    """The store to use: the one given, else ``$WINNOW_STORE``, else ``./runs``."""
    return Path(store or os.environ.get("WINNOW_STORE") or "runs")


def check_jobs(jobs: int | None) -> int:
    """The number of workers: as asked, else the cores this process may use."""
    if jobs is None:
        return usable_cores()
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}: at least 1 worker is needed, e.g. --jobs 2")
    return jobs


def check_threads(threads: int | None) -> int | None:
    """The threads of a worker, as asked; None: its share of the cores."""
    if threads is not None and threads < 1:
        raise UserError(f"--threads is {threads}: a worker has at least 1, e.g. --threads 2")
    return threads


def provenance_of(plan: Planned) -> dict[str, Any]:
    """What is stored with each run beside its identity: code, machine, the recipe's name."""
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
    }
