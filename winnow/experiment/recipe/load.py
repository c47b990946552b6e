"""From a name or a path, a scale and ``key=value`` overrides, to a checked recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from winnow.errors import UserError, repeated, unknown
from winnow.experiment.recipe.explain import faults
from winnow.experiment.recipe.limits import SIZE, check_size
from winnow.experiment.recipe.lines import OF_THE_WHOLE, differences, set_dotted
from winnow.experiment.recipe.names import called, shipped, shipped_text
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.scales import FULL, at_scale
from winnow.experiment.recipe.strict_yaml import parse_yaml

_MOST_LINES = 200
_LONG = 200  # characters of an override that errors repeat


def is_recipe(name: str) -> bool:
    """Whether a name is that of a recipe: a shipped one, or a file of YAML."""
    return called(name).recipe in shipped() or Path(name).suffix in (".yaml", ".yml")


def recipe_text(name: str) -> str:
    """The YAML text of a shipped recipe, by whatever name it is called, or of a file."""
    name = called(name).recipe
    if name in shipped():
        return shipped_text(name)
    path = Path(name)
    there = _is_file(path)
    if path.suffix in (".yaml", ".yml") or there:
        if not there:
            raise UserError(f"there is no recipe file {name!r}; `winnow recipes` lists the shipped")
        try:
            with path.open("rb") as file:
                read = file.read(SIZE + 1)
            check_size(max(len(read), path.stat().st_size))
            return read.decode("utf-8-sig")
        except (OSError, UserError) as error:
            raise UserError(f"the recipe file {name!r} cannot be read: {error}") from None
        except UnicodeDecodeError as error:
            raise UserError(
                f"the recipe file {name!r} cannot be read: it is no text in UTF-8 ({error.reason}, "
                f"byte {error.start})"
            ) from None
    raise unknown("recipe", name, shipped(), "`winnow recipes` lists them; a path works too")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def load_recipe(
    name: str,
    overrides: Sequence[str] = (),
    replicates: int | None = None,
    scale: str = FULL,
) -> Recipe:
    """The recipe called ``name`` (a name or a path), at a scale, with ``key=value``
    overrides. A line's own changes come first, then those of the scale, then the overrides.

    Raises UserError: unknown name, scale or key, a value of the wrong type or range, lines that are
    the same.
    """
    where = f"recipe {name}"
    written = parse_yaml(recipe_text(name), where)
    if not isinstance(written, dict):
        raise UserError(f"{where} must be a mapping with data, model and train")
    changes, of_lines = at_scale(written.pop("scales", {}), scale, where)
    lines = _checked_lines(written.pop("lines", {}), of_lines, where)
    scaled = [(key, value, f"scale {scale}: {key}") for key, value in changes.items()]
    last = [_override(text) for text in overrides]
    if replicates is not None:
        last.append(("replicates", replicates, f"replicates={replicates}"))
    whole = check_recipe(_changed(written, scale, [*scaled, *last]), where)
    shared = {key: value for key, value in written.items() if key not in OF_THE_WHOLE}
    checked = {}
    for line, own in lines.items():
        said, rest = f"line {line}", of_lines.get(line, {})
        steps = [*_steps(own, said), *scaled, *_steps(rest, f"{said} of scale {scale}"), *last]
        checked[line] = check_recipe(_changed(shared, scale, steps), f"{where}, {said}")
    _check_they_differ(checked, where)
    base = whole.dump()
    changed = {line: differences(base, one.dump()) for line, one in checked.items()}
    return check_recipe(base | {"lines": changed}, where) if lines else whole


def with_overrides(written: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The keys of a recipe with ``key=value`` overrides, unchecked; the given ones stay as they
    are. UserError for what is no override.
    """
    return _changed_by(written, [_override(text) for text in overrides])


def has_scale(name: str, scale: str) -> bool:
    """Whether a recipe has a scale. Raises UserError: there is no such recipe."""
    written = parse_yaml(recipe_text(name), f"recipe {name}")
    scales = written.get("scales") if isinstance(written, dict) else None
    return scale == FULL or (isinstance(scales, dict) and scale in scales)


def check_recipe(written: Any, where: str) -> Recipe:
    """Plain values as a Recipe. Raises UserError naming each field, its value and what it takes."""
    try:
        return Recipe.model_validate(written)
    except ValidationError as error:
        lines = [f"  {line}" for line in faults(error, Recipe)]
        raise UserError("\n".join([f"{where} is not valid:", *lines])) from None


def _checked_lines(
    lines: Any, of_scale: Mapping[str, Any], where: str
) -> Mapping[str, Mapping[str, Any]]:
    """The lines as written, without those that the scale leaves out."""
    if not isinstance(lines, Mapping) or not all(isinstance(o, Mapping) for o in lines.values()):
        raise UserError(
            f"{where}: lines is {repeated(lines)}: write each as NAME: {{key: value}}, keys as for "
            '-o, e.g. lines: {"0.1": {train.optimizer.lr: 0.1}}'
        )
    if len(lines) > _MOST_LINES:
        raise UserError(f"{where} has {len(lines)} lines: write {_MOST_LINES} at most")
    for line in of_scale:
        if line not in lines:
            raise unknown("line", line, list(lines), f"A scale of {where} changes it")
    return {line: own for line, own in lines.items() if of_scale.get(line, own) is not None}


def _check_they_differ(lines: Mapping[str, Recipe], where: str) -> None:
    """UserError for two lines that are the same experiment."""
    seen: dict[str, str] = {}
    for line, recipe in lines.items():
        text = repr(recipe.dump())
        if text in seen:
            raise UserError(
                f"{where}: the lines {seen[text]} and {line} are the same. Leave one out, or the "
                "override that sets what they differ in"
            )
        seen[text] = line


_Step = tuple[str, Any, str]  # a dotted key, its value, and how an error calls it


def _steps(changes: Mapping[str, Any], said: str) -> list[_Step]:
    return [(key, value, f"{said}: {key}") for key, value in changes.items()]


def _changed(written: Mapping[str, Any], scale: str, steps: Sequence[_Step]) -> dict[str, Any]:
    """A recipe as written, at a scale, after some changes in turn."""
    return _changed_by({**written, "scale": scale}, steps)


def _changed_by(written: Mapping[str, Any], steps: Sequence[_Step]) -> dict[str, Any]:
    changed = dict(written)
    for key, value, said in steps:
        set_dotted(changed, key, value, said)
    return changed


def _override(override: str) -> _Step:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise UserError(f"-o {repeated(override)}: write key=value, e.g. -o train.steps=5000it")
    said = f"-o {override[:_LONG]}"
    return key, parse_yaml(text, said), said
