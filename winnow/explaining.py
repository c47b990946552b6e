"""``winnow explain``: why a ticket works, from what a store holds or from what is then trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from winnow.errors import NeedsConfirmingError, UserError
from winnow.experiment.arms import Arm
from winnow.experiment.expected import slug_of, write_experiment
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.plan.plan import Plan, Planned
from winnow.experiment.plan.size import UNASKED_RUNS, check_plan_size
from winnow.experiment.plan.why import EXPLAINED, explaining_plan, rounds_there
from winnow.experiment.recipe.load import check_recipe, is_recipe, load_recipe
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.store.experiments import experiments_with
from winnow.experiment.store.images import find_sources, find_sources_offline, remember_sources
from winnow.experiment.store.store import Found, Store
from winnow.experiment.store.weights import copy_weights
from winnow.experiment.train.executor import Event, Settings, execute
from winnow.experiment.train.status import status_of
from winnow.experiments import YAML, check_jobs, check_threads, provenance_of
from winnow.outside import running_code
from winnow.report.parts.decompose import CELLS, TICKET_CELL
from winnow.report.parts.explained import Explained, cell_arm, parts_of
from winnow.report.parts.parts_page import write_explained
from winnow.report.placing import report_folder
from winnow.report.read import read_results
from winnow.report.results import has_early_stopping


@dataclass(frozen=True)
class Question:
    """Which ticket is to be explained: of which recipe as a value, its line, arm and round.

    ``name``: the recipe's. ``run``: the stored run that stands for it, None where a recipe was
    named. ``draws``: of each control, for each replicate, at least.
    """

    name: str
    recipe: Recipe
    line: str
    arm: str
    round: int
    run: str | None = None
    draws: int = 1


@dataclass(frozen=True)
class Explanation:
    """What is known of a ticket, the plan behind it, and the page; None while nothing is known.

    ``left``: how many runs are missing.
    """

    explained: Explained
    plan: Plan
    page: Path | None
    left: int


def question_of_run(store: Store, found: Found, replicates: int | None = None) -> Question:
    """The question about a stored run: the recipe, arm and round that it was trained for.

    A control asks about its ticket. Raises UserError: a dense run, or one that no experiment in
    the store has.
    """
    name = found.folder.name
    if found.run.pruning is None:
        raise UserError(
            f"{name} has no mask that was there before training: explain a ticket, or a method "
            "that prunes at initialisation"
        )
    stored = experiments_with(store, found.run.id)
    stored = [one for one in stored if not one.name.endswith(EXPLAINED)]
    if not stored:
        return _question_planned(store, found, replicates)
    experiment = max(stored, key=lambda one: int(one.recipe.get("replicates", 1)))
    recipe = check_recipe(dict(experiment.recipe), f"the recipe of {name}")
    recipe = _with_replicates(recipe, replicates)
    point = next(p for p in experiment.points if p.run == found.run.id)
    arm = _finder(experiment.arms, point.arm)
    return Question(experiment.name, recipe, point.line, arm, point.round, found.run.id)


def _question_planned(store: Store, found: Found, replicates: int | None) -> Question:
    """The question about a run that no experiment has, by the recipe that it was trained for."""
    name = str(found.provenance.get("recipe_name", ""))
    if is_recipe(name):
        recipe = load_recipe(name, (), replicates)
        planned = expand_lines(name, recipe, find_sources_offline(recipe, store)[0])
        for node in planned.nodes:
            if node.run.id == found.run.id:
                arm = _finder(planned.arms, node.arm)
                return Question(name, recipe, node.line, arm, node.round, found.run.id)
    raise UserError(
        f"no experiment in {store.path} has the run {found.folder.name}"
        + (f", nor does {name} plan it as it is now" if name else "")
        + ": name its recipe, winnow explain RECIPE --arm ARM --round N"
    )


def _finder(arms: Iterable[Arm], name: str) -> str:
    """The arm itself; of a control, the arm that it checks."""
    controls = {arm.name: arm.of for arm in arms if arm.is_control}
    return controls.get(name) or name


def question_of_recipe(
    name: str,
    *,
    round_: int | None,
    arm: str | None = None,
    line: str = "",
    scale: str = "full",
    replicates: int | None = None,
) -> Question:
    """The question about an arm of a recipe at a round. Raises UserError without a round."""
    recipe = load_recipe(name, (), replicates, scale)
    if recipe.lines and not line:
        raise UserError(f"{name} has lines: choose one, --line {next(iter(recipe.lines))}")
    if arm is None and recipe.compare is not None:
        there = ", ".join(spec.arm_name for spec in recipe.compare.methods)
        raise UserError(f"{name} compares methods: choose one with --arm, of {there}")
    return Question(name, recipe, line, arm or TICKET_CELL, -1 if round_ is None else round_)


def explain(
    question: Question,
    store: Path | str,
    *,
    run: bool = False,
    jobs: int | None = None,
    threads: int | None = None,
    checkpoint: float = 60.0,
    command: str = "",
    confirm: bool = False,
    code: bool = True,
    on_plan: Callable[[Planned, Store], Callable[[Event], None]] | None = None,
) -> Explanation:
    """What the store says of a ticket; with ``run``, after training the controls that are missing.

    The page goes to ``STORE/reports/explain-RECIPE-ARM-ROUND``. Raises UserError: no such ticket,
    or its recipe plans other runs by now; NeedsConfirmingError for a very large plan that
    ``confirm`` does not permit, CodeRefusedError for one that runs code where ``code`` is False.
    """
    with running_code(code):
        _check_size(question, confirm)
        place = Store(store).open(write=run)
        plan = _plan(question, place, online=run, confirmed=confirm)
        if run:
            about = provenance_of(plan)
            settings = Settings(check_jobs(jobs), checkpoint, about, check_threads(threads))
            _train(plan, place, settings, on_plan)
    explained = _explained(question, plan, place)
    if explained.parts is None:
        return Explanation(explained, plan, None, sum(explained.missing.values()))
    whose = question.recipe.dump() if question.name.endswith(YAML) else question.name
    folder = report_folder(place.path / "reports", _folder(question), whose)
    page = write_explained(explained, folder, command)
    return Explanation(explained, plan, page, sum(explained.missing.values()))


def _check_size(question: Question, confirmed: bool) -> None:
    """NeedsConfirmingError for a very large recipe, or as many draws of controls."""
    check_plan_size(question.name, question.recipe, confirmed)
    if question.draws * question.recipe.replicates > UNASKED_RUNS and not confirmed:
        raise NeedsConfirmingError(
            f"--draws {question.draws:,} of each control and {question.recipe.replicates:,} "
            f"replicates are more than {UNASKED_RUNS:,} runs; nothing is built. If it is meant: "
            "--yes, or confirm=True in Python"
        )


def _plan(question: Question, place: Store, *, online: bool, confirmed: bool) -> Plan:
    recipe, note = question.recipe, None
    if online:
        sources = find_sources(recipe)
        remember_sources(sources, place)
        copy_weights(recipe, place)
    else:
        sources, note = find_sources_offline(recipe, place)
    planned = expand_lines(question.name, recipe, sources, confirmed)
    whole = _line_of(planned, question.line)
    if question.round < 0:
        there = rounds_there(whole, question.arm)
        listed = ", ".join(f"{number} ({100 * d:.2g} %)" for number, d in there.items())
        raise UserError(f"which round of {question.arm}? Name one with --round: {listed}")
    if question.run is not None and question.run not in whole.runs:
        why = note or "its data or a criterion has changed, or Winnow has"
        raise UserError(
            f"{question.name} does not plan the run {question.run[:12]} any more: {why}. Its "
            "controls cannot be found"
        )
    if (draws := question.draws) < 1:
        raise UserError(f"--draws is {draws}: at least 1 of each control is needed")
    names = {cell: cell_arm(question.arm, cell) for cell in CELLS if cell != TICKET_CELL}
    source = sources[whole.recipe.data.key]
    return explaining_plan(whole, source, question.arm, question.round, names, draws)


def _line_of(planned: Planned, line: str) -> Plan:
    for plan in planned.plans:
        if plan.line == line:
            return plan
    there = ", ".join(plan.line for plan in planned.plans) or "none"
    raise UserError(f"there is no line {line!r} of {planned.name}. It has {there}")


def _train(
    plan: Plan,
    place: Store,
    settings: Settings,
    on_plan: Callable[[Planned, Store], Callable[[Event], None]] | None,
) -> None:
    tell = on_plan(plan, place) if on_plan else None
    write_experiment(plan.experiment(), place.path)
    execute(plan, place, settings, tell)


def _explained(question: Question, plan: Plan, place: Store) -> Explained:
    results = read_results(plan.experiment(), place)
    status = status_of(plan, place)
    missing = Counter(n.arm for n in plan.nodes if status[n.run.id] == "missing")
    density = next(
        n.density_total for n in plan.nodes if (n.arm, n.round) == (question.arm, question.round)
    )
    return Explained(
        recipe=question.name,
        line=question.line,
        arm=question.arm,
        round=question.round,
        density_total=density,
        missing=dict(missing),
        parts=parts_of(results, question.arm, question.round),
        at="at early stopping" if has_early_stopping(results) else "at the end",
    )


def _folder(question: Question) -> str:
    parts = ["explain", slug_of(question.name), *filter(None, [question.line])]
    scale = [question.recipe.scale] if question.recipe.scale != "full" else []
    return slug_of("-".join([*parts, *scale, question.arm, str(question.round)]))


def _with_replicates(recipe: Recipe, replicates: int | None) -> Recipe:
    if replicates is None:
        return recipe
    return check_recipe({**recipe.dump(), "replicates": replicates}, f"replicates={replicates}")
