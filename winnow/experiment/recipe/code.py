"""Code that a recipe names: functions outside Winnow that planning, running and reporting run."""

from __future__ import annotations

from winnow.criteria.own import is_own
from winnow.data.own_names import is_function
from winnow.experiment.recipe.recipe import Recipe
from winnow.models import is_own_network
from winnow.outside import CodeRefusedError


def code_of(recipe: Recipe) -> tuple[str, ...]:
    """What of a recipe's lines is code, each as ``key name``; nothing is imported."""
    return tuple(dict.fromkeys(said for one in recipe.by_line().values() for said in _code(one)))


def _code(recipe: Recipe) -> list[str]:
    found = []
    if is_own_network(recipe.model.name):
        found.append(f"model.name {recipe.model.name}")
    if is_function(recipe.data.name):
        found.append(f"data.name {recipe.data.name}")
    if is_own(recipe.prune.criterion):
        found.append(f"prune.criterion {recipe.prune.criterion}")
    for method in recipe.compare.methods if recipe.compare else ():
        if is_own(method.name):
            found.append(f"compare.methods {method.name}")
        named = method.options.get("criterion")
        if isinstance(named, str) and is_own(named):
            found.append(f"criterion of {method.arm_name} {named}")
    return found


def check_no_code(recipe: Recipe, where: str) -> None:
    """CodeRefusedError, naming each, for a recipe that names code. Nothing is imported."""
    if named := code_of(recipe):
        raise CodeRefusedError(
            f"recipe {where} runs code: {', '.join(named)}. It is refused, as you asked for no "
            "code (--no-code, code=False): read these files, and leave that out if you trust them"
        )
