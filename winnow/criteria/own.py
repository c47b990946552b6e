"""Criteria of one's own, outside Winnow: ``module:function``, found by importing the module."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from winnow.criteria.base import Criterion
from winnow.errors import UserError, unknown
from winnow.outside import imported_module


def is_own(name: str) -> bool:
    """Whether a criterion's name is that of a function outside Winnow."""
    return ":" in name


def load_own(path: str) -> Criterion:
    """The function of ``module:function``; modules are found as by ``python -m``.

    That is on Python's path, and after it in the current folder. UserError if there is no such
    module or function, or if importing it fails.
    """
    place, _, name = path.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in place.split(".")):
        raise UserError(
            f"the criterion {path!r} is no module:function: write e.g. my_module:my_function, or "
            "my_package.my_module:my_function"
        )
    if place.endswith(".py"):
        raise UserError(f"the criterion {path!r}: write {place[:-3]}:{name}, without .py")
    if place == "__main__":
        raise UserError(f"the criterion {path!r}: other processes need it too; put it into a file")
    module = imported_module(place, path, "the criterion")
    found: Any = getattr(module, name, None)
    if found is None:
        functions = [
            n for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == place
        ]
        listed = f"{place} has {', '.join(functions) or 'no functions'}"
        raise unknown(f"function of {place}:", name, functions, listed)
    if not inspect.isfunction(found):
        kind = type(found).__name__
        raise UserError(f"the criterion {path!r} is of type {kind}: name a function")
    return found


def source_hash(path: str) -> str:
    """SHA-256, in hex, of the whole file in which the function is written.

    What it imports from elsewhere is not in it.
    """
    function = inspect.unwrap(load_own(path))
    try:
        file = inspect.getsourcefile(function)
        content = Path(file).read_bytes() if file else None
    except (OSError, TypeError):
        content = None
    if content is None:
        raise UserError(
            f"the criterion {path!r} has no source file, by which its results could be told from "
            "those of another version: write it in a .py file"
        )
    return hashlib.sha256(content).hexdigest()
