"""The options of mask searches in comparisons, from what a recipe says to checked values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from winnow.algorithms.search import SEARCH_METHODS, make_search
from winnow.algorithms.search.method import SearchMethod
from winnow.errors import UserError, unknown
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.recipe.explain import faults
from winnow.experiment.recipe.model import Init
from winnow.experiment.recipe.train import Optimizer, Schedule
from winnow.experiment.recipe.values import RecipePart, Steps, by_name
from winnow.experiment.store.weights import TRAINED

_RANDOM: Mapping[str, Any] = {"rates": "uniform", "init": "signed-kaiming", "scale_fan": True}
"""Defaults of searches in random networks, where they are not the method's own. Rates: of each
layer the same share as the originals, in total exactly as many weights as all methods have. One
that starts from a probability starts from the density asked for, in a network made for it: Zhou et
al. find a density, from one half on, and their constants are those of Glorot (init: signed-glorot,
scale_fan: false)."""

_DENSITY = "density"  # in place of a probability
_SURE = 0.99  # the largest probability that a density stands for: σ is never 1


class FineTune(RecipePart):
    """How the weights of what was found are trained; what is left out is as in ``train``."""

    steps: Steps
    optimizer: Annotated[Optimizer, BeforeValidator(by_name)] | None = None
    schedule: Annotated[Schedule, BeforeValidator(by_name)] | None = None


def _fine_tune(value: Any) -> Any:
    """``100it`` is short for ``{steps: 100it}``."""
    if value is not None and not isinstance(value, str | Mapping | FineTune):
        raise ValueError(f"is {value!r}: write 100it, or {{steps: 100it, schedule: cosine}}")
    return {"steps": value} if isinstance(value, str) else value


class SearchTraining(RecipePart):
    """The options of a search that are no matter of its scores: what it is in, how it is trained.

    ``scale_fan``: the initialisation counts only the density of each fan in (its ``kept``).
    ``weights``: the file of a pre-trained network, in place of the replicate's own.
    """

    init: Annotated[Init, BeforeValidator(by_name)] = Init()
    scale_fan: bool = False
    optimizer: Annotated[Optimizer, BeforeValidator(by_name)]
    schedule: Annotated[Schedule, BeforeValidator(by_name)] | None = None
    fine_tune: Annotated[FineTune, BeforeValidator(_fine_tune)] | None = None
    weights: Annotated[str, Field(min_length=1)] = TRAINED


@dataclass(frozen=True)
class ResolvedSearch:
    """A search of one density, checked: the method, and its training."""

    method: SearchMethod
    training: SearchTraining


def search_options(name: str) -> dict[str, object]:
    """Every option of a search → its default in a comparison."""
    search = SEARCH_METHODS[name]
    own = {f.name: f.default for f in fields(search) if f.name != "density"}  # type: ignore[arg-type]
    training = {"optimizer": dict(search.optimizer), "schedule": search.schedule["name"]}
    start = {"weights": TRAINED} if search.pretrained else _defaults(search)
    return {**own, **start, **training, "fine_tune": None}


def resolve_search(method: ComparedMethod, density: float) -> ResolvedSearch:
    """The search at one of the recipe's densities. UserError names the arm."""
    method.check_no_density()
    _check_known(method)
    name, search = method.spec.name, SEARCH_METHODS[method.spec.name]
    written = {**_defaults(search), **method.options}
    about = {key: written.pop(key) for key in SearchTraining.model_fields if key in written}
    share, probability = method.share(density), search.first_probability
    if probability is not None and written[probability] == _DENSITY:
        written[probability] = min(share, _SURE)
    return ResolvedSearch(
        make_search(name, share, **written), _training(method, about, search.optimizer)
    )


def _defaults(search: type[SearchMethod]) -> dict[str, Any]:
    """What is usual in comparisons, where that is not the method's own."""
    if search.pretrained:
        return {}
    return {**_RANDOM, **({search.first_probability: _DENSITY} if search.first_probability else {})}


def _check_known(method: ComparedMethod) -> None:
    known = search_options(method.spec.name)
    for option in method.options:
        if option not in known:
            hint = f"Its options are {', '.join(known)}"
            raise unknown(f"option of {method.arm.name}:", option, known, hint)


def _training(
    method: ComparedMethod, about: Mapping[str, Any], usual: Mapping[str, Any]
) -> SearchTraining:
    written = {**about, "optimizer": _optimizer(about.get("optimizer"), usual)}
    if written.get("init") == "model.init":
        written["init"] = method.setting.recipe.model.init
    try:
        return SearchTraining.model_validate(written)
    except ValidationError as error:
        raise UserError(f"{method.arm.name}: {faults(error, SearchTraining)[0]}") from None


def _optimizer(written: Any, usual: Mapping[str, Any]) -> Any:
    """The optimizer as written; what is left out is the method's own, unless the rule is another's.

    ``{lr: 0.01}`` changes only the rate.
    """
    if written is None:
        return dict(usual)
    wanted = by_name(written)
    same = isinstance(wanted, Mapping) and wanted.get("name", usual["name"]) == usual["name"]
    return {**usual, **wanted} if same else wanted
