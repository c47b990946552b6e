"""The options of mask searches in comparisons, from what a recipe says to checked values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from winnow.algorithms.search import make_search, search_defaults, search_method
from winnow.algorithms.search.method import SearchMethod
from winnow.errors import UserError, unknown
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.recipe.explain import faults
from winnow.experiment.recipe.model import Init
from winnow.experiment.recipe.train import Optimizer, Schedule
from winnow.experiment.recipe.values import RecipePart, Steps, by_name
from winnow.experiment.store.weights import TRAINED

_RANDOM: Mapping[str, Any] = {"init": "signed-kaiming", "scale_fan": True}
"""The random network of a search whose method is not made for a trained one. A supermask that is to
have a density starts there, in a network made for it: Zhou et al. find a density, from one half on,
and their constants are those of Glorot (init: signed-glorot, scale_fan: false)."""

_DENSITY = "density"  # in place of a number: the one that is asked for
_SURE = 0.99  # the largest number that a density stands for: a probability σ is never 1


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
    ``weights``: the file of a pre-trained network, in place of the replicate's own. ``steps`` and
    ``batch``: how long scores train and on how many images at once, where not as ``train`` says.
    """

    init: Annotated[Init, BeforeValidator(by_name)] = Init()
    scale_fan: bool = False
    optimizer: Annotated[Optimizer, BeforeValidator(by_name)]
    schedule: Annotated[Schedule, BeforeValidator(by_name)] | None = None
    fine_tune: Annotated[FineTune, BeforeValidator(_fine_tune)] | None = None
    weights: Annotated[str, Field(min_length=1)] = TRAINED
    steps: Steps | None = None
    batch: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True)
class ResolvedSearch:
    """A search of one density, checked: the method, and its training."""

    method: SearchMethod
    training: SearchTraining


def search_options(name: str) -> dict[str, object]:
    """Every option of a search → its default in a comparison."""
    search = search_method(name)
    training = {
        **{"optimizer": dict(search.optimizer), "schedule": search.schedule["name"]},
        **{"steps": "train.steps", "batch": "train.batch"},
    }
    weights = {"weights": TRAINED} if search.of_trained else {}
    own = {**search_defaults(name), **_usual(search)}
    return {**own, **weights, **training, "fine_tune": None}


def resolve_search(method: ComparedMethod, density: float) -> ResolvedSearch:
    """The search at one of the recipe's densities. UserError names the arm."""
    method.check_no_density()
    _check_known(method)
    search, share = search_method(method.spec.name), method.share(density)
    written = {**_usual(search), **method.options}
    about = {key: written.pop(key) for key in SearchTraining.model_fields if key in written}
    training = _training(method, about, search.optimizer)
    own = {key: min(share, _SURE) if value == _DENSITY else value for key, value in written.items()}
    return ResolvedSearch(make_search(search.name, share, **own), training)


def _usual(search: type[SearchMethod]) -> dict[str, Any]:
    """The defaults of a comparison, where they are not the method's own."""
    return {**search.compared, **({} if search.of_trained else _RANDOM)}


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
