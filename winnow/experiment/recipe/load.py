"""From a name or a path, and ``key=value`` overrides, to a checked recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from winnow.errors import UserError, unknown
from winnow.experiment.recipe.recipe import Recipe

_OTHER = (":float", ":bool", ":timestamp", ":merge")  # resolved otherwise, or plain words


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-3`` is a number, only true and false are booleans, and keys are unique."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in found if not tag.endswith(_OTHER)]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"(?:[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), list("tf"))


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for i, key in enumerate(keys):
        line = node.value[i][0].start_mark.line + 1
        if not isinstance(key, str):
            raise UserError(f"line {line}: the key {key!r} is no word: write it in quotes")
        if key in keys[:i]:
            raise UserError(f"line {line}: the key {key!r} stands twice")
    return {
        key: loader.construct_object(v, deep=True)
        for key, (_, v) in zip(keys, node.value, strict=True)
    }


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def parse_yaml(text: str, where: str) -> Any:
    """YAML text as plain values. Raises UserError with ``where`` and the line."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{where} is no valid YAML: {error}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


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
    return check(written, f"recipe {name}")


def check(written: Any, where: str) -> Recipe:
    """Plain values as a Recipe. Raises UserError naming each field, its value and what it takes."""
    try:
        return Recipe.model_validate(written)
    except ValidationError as error:
        lines = [f"  {line}" for line in dict.fromkeys(_told(error.errors()))]
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


def _told(errors: Iterable[ErrorDetails]) -> Iterable[str]:
    """Each error in words: field, value, what is allowed, an example."""
    for error in errors:
        path = [str(part) for part in error["loc"] if _is_key(part)]
        field = ".".join(path)
        if error["type"] == "extra_forbidden":
            owner = _owner(path[:-1])
            names = sorted(info.alias or key for key, info in owner.model_fields.items())
            yield str(
                unknown("key", field, [*map(".".join, _under(path[:-1], names))], _all(names))
            )
        elif error["type"] == "missing":
            yield f"{field} is missing{_example(path)}"
        elif error["type"] == "value_error" and isinstance(
            cause := error.get("ctx", {}).get("error"), ValueError
        ):
            yield f"{field}: {cause}" if "is " not in str(cause)[:3] else f"{field} {cause}"
        else:
            value = f"is {error['input']!r}: "
            yield f"{field} {value}{error['msg'].lower()}{_example(path)}"


def _is_key(part: object) -> bool:
    """Whether a part of an error's place is a key or index of the recipe (not a type's name)."""
    text = str(part)
    return not re.search(r"[\[(]|^(str|int|float|function-.*|literal|tuple|constrained-.*)$", text)


def _under(path: list[str], names: Iterable[str]) -> Iterable[list[str]]:
    return ([*path, name] for name in names)


def _all(names: Sequence[str]) -> str:
    return f"Valid here: {', '.join(names)}"


def _owner(path: Sequence[str]) -> type[BaseModel]:
    """The recipe value at a path of keys."""
    owner: type[BaseModel] = Recipe
    for part in path:
        inner = _field(owner, part)
        found = [t for t in _types(inner.annotation) if isinstance(t, type)] if inner else []
        owner = next((t for t in found if issubclass(t, BaseModel)), owner)
    return owner


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(t for arg in get_args(annotation) for t in _types(arg))]


def _field(owner: type[BaseModel], name: str) -> Any:
    return next(
        (info for key, info in owner.model_fields.items() if name in (key, info.alias)), None
    )


def _example(path: Sequence[str]) -> str:
    field = _field(_owner(path[:-1]), path[-1]) if path else None
    examples = _examples(field) if field else []
    return f" (e.g. {', '.join(map(_yaml, examples))})" if examples else ""


def _examples(field: Any) -> list[Any]:
    own = field.examples or []
    nested = [
        example
        for kind in [*_types(field.annotation), field]
        for meta in getattr(kind, "__metadata__", getattr(kind, "metadata", ()))
        for example in getattr(meta, "examples", None) or []
    ]
    return own or nested


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True)).removesuffix("\n...\n").strip()
