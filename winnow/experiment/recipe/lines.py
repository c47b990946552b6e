"""Lines: variants of a recipe in one experiment, each a name and what it changes.

A learning rate, a warm-up, another network, dataset or strategy is a line. In YAML a line is
written as for ``-o``, dotted key → value; a checked recipe holds what its dump and that of the line
differ in, so that equal experiments are equal values however they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from winnow.errors import UserError, repeated, unknown
from winnow.experiment.recipe.limits import DEPTH

OF_THE_WHOLE = ("lines", "views", "claims", "figures")
"""Keys of a recipe that say something of all lines together, so that no line has them."""


def set_dotted(written: dict[str, Any], key: str, value: Any, said: str) -> None:
    """Set one dotted key in nested values; those on the way are copied.

    A one-word value on the way (``schedule: cosine``) becomes its name. UserError, beginning with
    ``said``, for a value on the way that has no keys.
    """
    *folders, last = key.split(".")
    if len(folders) >= DEPTH:
        raise UserError(f"{said}: the key has {len(folders)} dots, and no key has so many")
    place = written
    for folder in folders:
        inner = place.get(folder)
        if isinstance(inner, str):
            inner = {"name": inner}
        elif inner is None:
            inner = {}
        elif not isinstance(inner, dict):
            raise UserError(f"{said}: {folder} holds {repeated(inner)}, which has no key {last!r}")
        place[folder] = dict(inner)
        place = place[folder]
    place[last] = value


def differences(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What turns the dump of a recipe into that of another: dotted key → value, None for none."""
    keys = dict.fromkeys([*base, *other])
    pairs = ((key, base.get(key), other.get(key)) for key in keys if key not in OF_THE_WHOLE)
    return {path: value for key, a, b in pairs for path, value in _differing(key, a, b)}


def _differing(path: str, base: Any, other: Any) -> list[tuple[str, Any]]:
    if base == other and type(base) is type(other):
        return []
    if not _same_keys(base, other):
        return [(path, other)]
    return [found for key in base for found in _differing(f"{path}.{key}", base[key], other[key])]


def _same_keys(base: Any, other: Any) -> bool:
    """Whether values can be compared key by key, and the keys written with dots between them."""
    if not (isinstance(base, dict) and isinstance(other, dict)):
        return False
    return base.keys() == other.keys() and not any("." in key for key in base)


def line_of(recipe: Mapping[str, Any], line: str) -> dict[str, Any]:
    """The recipe of one line, as plain values, from those of the whole recipe.

    ``line`` is empty where there are no lines. Raises UserError: there is no such line.
    """
    own = {key: value for key, value in recipe.items() if key not in OF_THE_WHOLE}
    lines = recipe.get("lines") or {}
    if not line and not lines:
        return own
    if line not in lines:
        raise unknown("line", line, list(lines), f"This recipe has {', '.join(lines) or 'none'}")
    for key, value in lines[line].items():
        set_dotted(own, key, value, f"line {line}")
    return {key: value for key, value in own.items() if value is not None}
