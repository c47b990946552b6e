"""What a line of a recipe says under a dotted key: its own value, else that of the whole recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from winnow.report.results import Results


def line_setting(results: Results, line: str, key: str) -> Any:
    """The value of a dotted key such as ``prune.rate``; None where nothing is said."""
    lines = results.recipe.get("lines")
    changes = lines.get(line) if isinstance(lines, Mapping) else None
    whole = _found(results.recipe, key.split("."))
    if not isinstance(changes, Mapping):
        return whole
    parts = key.split(".")
    for length in range(len(parts), 0, -1):  # the most particular of what the line changes
        head = ".".join(parts[:length])
        if head in changes:
            return _found({"": changes[head]}, ["", *parts[length:]])
    return whole


def _found(plain: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(plain, Mapping):
            return None
        plain = plain.get(key)
    return plain
