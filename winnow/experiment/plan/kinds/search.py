"""Mask searches in comparisons: their options and their runs.

edge-popup and supermask search in the random network of the replicate, initialised as they need it;
a jackpot searches in the dense network that the replicate has trained, or in one from a file. Each
search trains its scores for ``train.steps``, with its own optimizer and schedule. ``fine_tune``
trains the weights of what was found: an arm of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from winnow.algorithms import catalogue
from winnow.algorithms import search as searches
from winnow.algorithms.search.method import SCORING_BATCH, Method
from winnow.allocation import keep_for_density
from winnow.criteria import CRITERIA, traits_of
from winnow.errors import UserError, unknown
from winnow.experiment.arms import Arm
from winnow.experiment.plan.resolve import at_least_one, plain, resolved_schedule
from winnow.experiment.recipe.compare import Method as Written
from winnow.experiment.recipe.recipe import Init, Optimizer, Recipe, Schedule, Steps, named
from winnow.experiment.recipe.values import Value
from winnow.experiment.runs import Pruning, Run, Start
from winnow.experiment.store import weights as given

if TYPE_CHECKING:
    from winnow.experiment.plan.kinds.compared import Compared
    from winnow.experiment.plan.replicate import Replicate

_SCALED: Mapping[str, Any] = {"rates": "uniform", "init": "signed-kaiming", "scale_fan": True}
_RANDOM: Mapping[str, Mapping[str, Any]] = {
    "edge-popup": _SCALED,
    "supermask": {**_SCALED, "probability": "density"},
}
"""Defaults in comparisons, where they are not the method's own. Rates: of each layer the same share
as the originals, in total exactly as many weights as all methods have. A supermask that is to have
a density starts there, in a network made for it: Zhou et al. find a density, from one half on, and
their constants are those of Glorot (init: signed-glorot, scale_fan: false)."""

_SURE = 0.99  # the largest probability that a density stands for: σ is never 1


class FineTune(Value):
    """How the weights of what was found are trained; what is left out is as in ``train``."""

    steps: Steps
    optimizer: Annotated[Optimizer, BeforeValidator(named)] | None = None
    schedule: Annotated[Schedule, BeforeValidator(named)] | None = None


def _steps(value: Any) -> Any:
    """``100it`` is short for ``{steps: 100it}``."""
    if value is not None and not isinstance(value, str | Mapping | FineTune):
        raise ValueError(f"is {value!r}: write 100it, or {{steps: 100it, schedule: cosine}}")
    return {"steps": value} if isinstance(value, str) else value


class _Training(Value):
    """The options of a search that are no matter of its scores: what it is in, how it is trained.

    ``scale_fan``: the initialisation counts only the density of each fan in (its ``kept``).
    ``weights``: the file of a pre-trained network, in place of the replicate's own.
    """

    init: Annotated[Init, BeforeValidator(named)] = Init()
    scale_fan: bool = False
    optimizer: Annotated[Optimizer, BeforeValidator(named)]
    schedule: Annotated[Schedule, BeforeValidator(named)] | None = None
    fine_tune: Annotated[FineTune, BeforeValidator(_steps)] | None = None
    weights: Annotated[str, Field(min_length=1)] = given.TRAINED


@dataclass(frozen=True)
class _Search:
    """A search of one density, checked: the method, and its training."""

    method: Method
    training: _Training


def options(name: str) -> dict[str, object]:
    """Every option of a search → its default in a comparison."""
    kind = searches.METHODS[name]
    own = {f.name: f.default for f in fields(kind) if f.name != "density"}  # type: ignore[arg-type]
    training = {"optimizer": dict(kind.optimizer), "schedule": kind.schedule["name"]}
    start = _RANDOM.get(name, {"weights": given.TRAINED})
    return {**own, **start, **training, "fine_tune": None}


def arms(method: Written) -> tuple[Arm, ...]:
    """The arms of any method: a search whose finds are fine-tuned has one more."""
    kind = catalogue.get(method.name).kind
    own = Arm(method.arm, kind, method=method.name)
    if method.name not in searches.METHODS or method.options.get("fine_tune") is None:
        return (own,)
    return (own, Arm(f"{own.name}-fine-tuned", kind, own.name, method.name))


def weights_of(recipe: Recipe, method: Written) -> str | None:
    """The hash of the pre-trained weights that a recipe gives a search; None for none."""
    file = None if method.name in _RANDOM else given.file_of(method)
    return given.content_of(recipe, file, method.arm) if file else None


def check(recipe: Recipe, one: Compared, density: float, per_epoch: int) -> None:
    """UserError for what the search cannot do in this recipe."""
    arm, made = one.method.arm, _made(one, density, recipe)
    if recipe.engine not in ("auto", "dense"):
        raise UserError(
            f"{arm} trains scores over frozen weights, which the engine {recipe.engine} does not: "
            f"write engine: auto, or leave {arm} out of compare.methods"
        )
    labels = {method.arm for method in one.compare.methods}
    if any(derived.name in labels for derived in arms(one.method)[1:]):
        raise UserError(
            f"{arm}-fine-tuned is a label, and what {arm} finds is fine-tuned: choose another label"
        )
    _keep(one, made.method)
    if one.method.name in _RANDOM:
        _initialisation(arm, made)
    if made.training.fine_tune is not None:
        _check_fine_tuning(recipe, arm, made.training.fine_tune, per_epoch)


def _check_fine_tuning(recipe: Recipe, arm: str, tune: FineTune, per_epoch: int) -> None:
    steps = at_least_one(f"fine_tune of {arm}", tune.steps, per_epoch)
    schedule = resolved_schedule(tune.schedule or recipe.train.schedule, per_epoch)
    if late := [drop for drop in schedule["drops"] if drop >= steps]:
        raise UserError(
            f"{arm} is fine-tuned for {tune.steps}, and the schedule's drop at {late[0]}it comes "
            f"after that: give it one, fine_tune: {{steps: {tune.steps}, schedule: cosine}}"
        )


def plan(ex: Replicate, one: Compared, density: float) -> Run:
    """The run of a search at one of the recipe's densities."""
    made = _made(one, density, ex.recipe)
    training = made.training
    about = {
        "name": one.method.name,
        "options": asdict(made.method),  # type: ignore[call-overload]
        "prunable": list(one.shapes),
        "keep": _keep(one, made.method),
        "seed": ex.mask_seed,
    }
    schedule = made.method.schedule
    if training.schedule is not None:
        schedule = resolved_schedule(training.schedule, ex.per_epoch)
    run = replace(
        ex.dense,
        optimizer=plain(training.optimizer.resolved()),
        schedule=dict(schedule),
        search=about,
    )
    if one.weights is not None:
        return replace(run, start=Start("given"), search={**about, "weights": one.weights})
    if one.method.name not in _RANDOM:
        return replace(run, start=Start("final", ex.dense.id))
    init = _initialisation(one.method.arm, made)
    return replace(run, model={**run.model, "init": init.model_dump(mode="json")})


def fine_tuned(ex: Replicate, one: Compared, found: Run, density: float) -> Run | None:
    """The training of what a search has found, its mask fixed; None if it is not asked for.

    Its mask is the search's, as pruning to as many weights as there are leaves all of them.
    """
    tune = _made(one, density, ex.recipe).training.fine_tune
    if tune is None:
        return None
    train = ex.recipe.train
    steps = at_least_one("fine_tune", tune.steps, ex.per_epoch)
    assert isinstance(found.keep, int)
    kept = Pruning(found.id, "magnitude", {}, found.prunable, found.keep, ex.mask_seed)
    return replace(
        found,
        search=None,
        pruning=kept,
        start=Start("final", found.id),
        end=steps,
        steps=steps,
        optimizer=plain((tune.optimizer or train.optimizer).resolved()),
        schedule=resolved_schedule(tune.schedule or train.schedule, ex.per_epoch),
    )


def epochs(run: Run, examples: int) -> float:
    """What scoring for a warm start costs, in epochs of ``examples``."""
    start = run.search["options"].get("start") if run.search else None
    passes = traits_of(CRITERIA[start]).passes if start in CRITERIA else 0
    return passes * min(SCORING_BATCH, examples) / examples


def _made(one: Compared, density: float, recipe: Recipe) -> _Search:
    """The options of a recipe, checked. UserError names the arm."""
    name, arm = one.method.name, one.method.arm
    if "density" in one.options:
        raise UserError(f"{arm}: densities stand in compare.densities, not in density")
    known = options(name)
    for option in one.options:
        if option not in known:
            hint = f"Its options are {', '.join(known)}"
            raise unknown(f"option of {arm}:", option, known, hint)
    written = {**_RANDOM.get(name, {}), **one.options}
    about = {key: written.pop(key) for key in _Training.model_fields if key in written}
    if about.get("init") == "model.init":
        about["init"] = recipe.model.init
    about["optimizer"] = _optimizer(about.get("optimizer"), searches.METHODS[name].optimizer)
    try:
        training = _Training.model_validate(about)
    except ValidationError as error:
        raise UserError(f"{arm}: {_in_words(error)}") from None
    if written.get("probability") == "density":
        written["probability"] = min(one.share(density), _SURE)
    return _Search(searches.make(name, one.share(density), **written), training)


def _optimizer(written: Any, usual: Mapping[str, Any]) -> Any:
    """The optimizer as written; what is left out is the method's own, unless the rule is another's.

    ``{lr: 0.01}`` changes only the rate.
    """
    if written is None:
        return dict(usual)
    wanted = named(written)
    same = isinstance(wanted, Mapping) and wanted.get("name", usual["name"]) == usual["name"]
    return {**usual, **wanted} if same else wanted


def _in_words(error: ValidationError) -> str:
    """The first fault: field, value, what is allowed."""
    told = error.errors()[0]
    place = ".".join(str(part) for part in told["loc"] if not str(part).startswith("function-"))
    if told["type"] == "missing":
        return f"{place} is missing"
    cause = told.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return f"{place} {cause}"
    return f"{place} is {told['input']!r}: {told['msg'].lower()}"


def _keep(one: Compared, method: Method) -> int:
    """How many weights a search keeps, by its rates; where they lie in detail, weights may say."""
    about = asdict(method)  # type: ignore[call-overload]
    scope = "global" if about["rates"] == "magnitude" else about["rates"]
    counts = keep_for_density(one.shapes, one.sizes, about["density"], scope)
    keep = counts if isinstance(counts, int) else sum(counts.values())
    if keep == 0:
        raise UserError(
            f"{one.method.arm}: density {about['density']:g} keeps no weight of any layer with "
            f"rates: {scope}; write rates: uniform, or leave that density out"
        )
    return keep


def _initialisation(arm: str, made: _Search) -> Init:
    """What a random network starts as."""
    init, density = made.training.init, asdict(made.method)["density"]  # type: ignore[call-overload]
    if not made.training.scale_fan:
        return init
    if "kaiming" not in init.name or init.kept != 1:
        raise UserError(
            f"{arm}: scale_fan counts the density of each fan in, for kaiming initialisations "
            f"without a kept of their own, and init is {init.name}: write scale_fan: false"
        )
    return init.model_copy(update={"kept": density})
