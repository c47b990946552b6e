"""Criteria of one's own, outside Winnow: ``module:function``, found by importing the module."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from winnow.criteria.base import Criterion
from winnow.errors import UserError, unknown


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
    module = _imported(place, path)
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


def _imported(place: str, path: str) -> ModuleType:
    importlib.invalidate_caches()  # the file may be newer than what the import system remembers
    try:
        with _current_folder():
            return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise _failed(path, error) from error
        raise UserError(
            f"the criterion {path!r}: there is no module {error.name!r} in the current folder, "
            f"{Path.cwd()}, or on Python's path. Run the command where it is, or name its folder "
            "in PYTHONPATH"
        ) from None
    except Exception as error:  # whatever the module raises
        raise _failed(path, error) from error


def _failed(path: str, error: Exception) -> UserError:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return UserError(
        f"the criterion {path!r}: importing it failed with {type(error).__name__}: {error}{where}"
    )


@contextlib.contextmanager
def _current_folder() -> Iterator[None]:
    """Let imports find modules in the current folder, last: it hides nothing that is installed."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.reverse()
            sys.path.remove(folder)
            sys.path.reverse()
