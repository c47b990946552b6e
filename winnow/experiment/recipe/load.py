"""From a name or a path, and ``key=value`` overrides, to a checked recipe."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from winnow.errors import UserError, unknown
from winnow.experiment.recipe.explain import faults
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.strict_yaml import parse_yaml


def shipped() -> list[str]:
    """The names of the recipes that come with Winnow, e.g. ``lth/digits``."""
    root = Path(str(resources.files("winnow") / "recipes"))
    return sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml"))


def recipe_text(name: str) -> str:
    """The YAML text of a shipped recipe or of a file."""
    if name in shipped():
        return (resources.files("winnow") / "recipes" / f"{name}.yaml").read_text("utf-8")
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise UserError(f"there is no recipe file {name!r}; `winnow recipes` lists the shipped")
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the recipe file {name!r} cannot be read: {error}") from None
    raise unknown("recipe", name, shipped(), "`winnow recipes` lists them; a path works too")


def load_recipe(name: str, overrides: Sequence[str] = (), replicates: int | None = None) -> Recipe:
    """The recipe called ``name`` (a shipped name or a path), with ``key=value`` overrides.

    Raises UserError: unknown name or key, or a value of the wrong type or range.
    """
    written = parse_yaml(recipe_text(name), f"recipe {name}")
    if not isinstance(written, dict):
        raise UserError(f"recipe {name} must be a mapping with data, model and train")
    for override in overrides:
        _override(written, override)
    if replicates is not None:
        written["replicates"] = replicates
    return check_recipe(written, f"recipe {name}")


def check_recipe(written: Any, where: str) -> Recipe:
    """Plain values as a Recipe. Raises UserError naming each field, its value and what it takes."""
    try:
        return Recipe.model_validate(written)
    except ValidationError as error:
        lines = [f"  {line}" for line in faults(error, Recipe)]
        raise UserError("\n".join([f"{where} is not valid:", *lines])) from None


def _override(written: dict[str, Any], override: str) -> None:
    """Set one dotted key; a one-word value on the way (``schedule: cosine``) becomes its name."""
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise UserError(f"-o {override!r}: write key=value, e.g. -o train.steps=5000it")
    *folders, last = key.split(".")
    place = written
    for folder in folders:
        inner = place.get(folder)
        if isinstance(inner, str):
            inner = {"name": inner}
        elif inner is None:
            inner = {}
        elif not isinstance(inner, dict):
            raise UserError(f"-o {override}: {folder} holds {inner!r}, which has no key {last!r}")
        place[folder] = dict(inner)
        place = place[folder]
    place[last] = parse_yaml(text, f"-o {override}")
