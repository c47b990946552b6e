"""Recipes, networks and data as Python objects: brought into files that other processes read.

A recipe becomes a YAML file of the store, so that the command line takes it as well. A function
that builds a network is named by its module or file; one of a notebook or of the running script is
written into a file of the store. Arrays are kept in the cache by the hash of their content.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from winnow.data.own_names import KEPT, is_own_data
from winnow.errors import UserError, repeated
from winnow.experiment.recipe.limits import DEPTH, DIGITS, MOST_VALUES
from winnow.extraction import extracted
from winnow.files import write_whole

_SAID = "model"
_BITS = 330  # of a number of `DIGITS` digits
_LONG = 200  # characters of a place that errors repeat


def recipe_file(recipe: Mapping[str, Any], names: Mapping[str, str], store: Path) -> str:
    """Write a recipe into a store, with the names of its network and data; the file's path.

    ``names``: dotted key → name (see `names_of_objects`). UserError: a name stands in the recipe
    too, or a value that YAML does not have.
    """
    written = plain_values(recipe, "recipe")
    for key, name in names.items():
        section, _, last = key.partition(".")
        inside = written.setdefault(section, {})
        if not isinstance(inside, dict):
            raise UserError(f"recipe: {section} is {inside!r}: write a mapping of its keys")
        if last in inside:
            raise UserError(
                f"recipe: {key} is {inside[last]!r}, and {section}= is given, too: leave one out"
            )
        inside[last] = name
    text = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
    title = re.sub(r"[^a-z0-9]+", "-", str(written.get("title", "")).lower()).strip("-")[:40]
    content = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = store / "recipes" / f"{title.strip('-') or 'recipe'}-{content}.yaml"
    write_whole(path, text)
    return str(path)


def names_of_objects(model: Any, data: Any, store: Path) -> dict[str, str]:
    """What a recipe calls a network and data that are given as objects: dotted key → name.

    ``model``: a function or class that builds it, or its name. ``data``: what a function of one's
    own returns, or that function, a dataset's name, or the path of a folder. UserError: what no
    other process can make again, or data that is not as it should be.
    """
    names = {}
    if model is not None:
        names["model.name"] = _model_name(model, store)
    if data is not None:
        names["data.name"] = _data_name(data)
    return names


def _model_name(model: Any, store: Path) -> str:
    if isinstance(model, str):
        return model
    if not (inspect.isfunction(model) or inspect.isclass(model)):
        kind = type(model).__name__
        raise UserError(
            f"model is a {kind}: give the function that builds it, def build(inputs, classes): "
            f"return {kind}(…); each run starts from a network of its own"
        )
    if (named := _importable_name(model)) is not None:
        return named
    text = extracted(model, f"model {model.__name__}").encode()
    path = store.absolute() / "own" / f"{hashlib.sha256(text).hexdigest()[:16]}.py"
    if not path.exists() or path.read_bytes() != text:  # a damaged one would be another network
        write_whole(path, text)
    return f"{path}:{model.__name__}"


def _importable_name(model: Callable[..., Any]) -> str | None:
    """``module:function`` or ``file.py:function`` of what stands at the top of a module."""
    module, name = sys.modules.get(model.__module__), model.__name__
    file = getattr(module, "__file__", None)
    if module is None or model.__module__ == "__main__" or file is None:
        return None
    if getattr(module, name, None) is not model:
        return None
    if module.__package__:
        return f"{model.__module__}:{name}"
    return f"{file}:{name}" if file.endswith(".py") else None


def _data_name(data: Any) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, os.PathLike):
        written = os.fspath(data)
        return written if is_own_data(written) else f"./{written}"
    from winnow.data.given import given_arrays
    from winnow.data.own import keep_arrays

    given = data() if callable(data) else data
    return KEPT + keep_arrays(given_arrays(given, "data"), "arrays")


def plain_values(value: Any, place: str) -> Any:
    """A recipe's values as YAML has them: lists for tuples. UserError for others, and for what is
    beyond the limits of recipes (a list that is in itself never ends).
    """
    return _plain(value, place, itertools.count(1), 0)


def _plain(value: Any, place: str, count: Iterator[int], depth: int) -> Any:
    if next(count) > MOST_VALUES:
        raise UserError(f"{place}: there are more than {MOST_VALUES:,} values: a recipe has fewer")
    if depth > DEPTH:
        raise UserError(f"{place[:_LONG]}… is nested deeper than {DEPTH} levels")
    if isinstance(value, Mapping):
        return {
            str(key): _plain(inner, f"{place}.{key}", count, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(inner, place, count, depth + 1) for inner in value]
    if type(value) is int and value.bit_length() > _BITS:
        raise UserError(f"{place} is {repeated(value)}: write {DIGITS} digits at most")
    if value is None or type(value) in (bool, int, float, str):
        return value
    hint = " (a network is given as model=, data as data=)" if callable(value) else ""
    raise UserError(
        f"{place} is a {type(value).__name__}: a recipe has texts, numbers, lists and mappings"
        f"{hint}"
    )
