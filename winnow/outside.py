"""Functions outside Winnow: ``module:function`` or ``path/to/file.py:function``, and their files.

What they give is known by the hash of the file that they are written in. A copy of it is kept in
the cache, so that an experiment goes on with what it was planned with.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from winnow.errors import UserError, unknown
from winnow.files import cache_folder, write_whole

_NO_CODE: ContextVar[bool] = ContextVar("no_code", default=False)


class CodeRefusedError(UserError):
    """Code outside Winnow would be run, and the user asked for none."""


@contextlib.contextmanager
def running_code(allowed: bool) -> Iterator[None]:
    """Whether anything outside Winnow may be imported meanwhile. What is refused already stays so.

    Every import of code that a recipe, a ticket or a store names goes through this module.
    """
    token = _NO_CODE.set(_NO_CODE.get() or not allowed)
    try:
        yield
    finally:
        _NO_CODE.reset(token)


def _check_allowed(written: str, said: str) -> None:
    if _NO_CODE.get():
        raise CodeRefusedError(
            f"{said} {written!r} is code, and you asked for none (--no-code, code=False): read it, "
            "and leave that out if you trust it"
        )


@dataclass(frozen=True)
class SourceFile:
    """A file of Python: where it is, its text, the SHA-256 of it in hex, and the package's module
    that it is, empty for one that stands by itself.
    """

    path: Path
    text: bytes
    hash: str
    module: str = ""


def split_place(written: str, said: str) -> tuple[str, str]:
    """The module or file, and the function. UserError, beginning with ``said``: no such name."""
    place, _, function = written.rpartition(":")
    parts = [place] if place.endswith(".py") else place.split(".")
    if not function.isidentifier() or not (
        place.endswith(".py") or all(part.isidentifier() for part in parts)
    ):
        raise UserError(
            f"{said} {written!r} is no module:function: write e.g. my_module:my_function, or "
            "path/to/file.py:my_function"
        )
    if place == "__main__":
        raise UserError(f"{said} {written!r}: other processes need it too; put it into a file")
    return place, function


def source_of_place(written: str, said: str) -> SourceFile:
    """The file that a function is written in. Modules are found as by ``python -m``, in the current
    folder last. UserError, beginning with ``said``: it cannot be found or read.
    """
    _check_allowed(written, said)
    place, _ = split_place(written, said)
    path, module = (
        _of_file(written, place, said)
        if place.endswith(".py")
        else _of_module(written, place, said)
    )
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{said} {written!r}: {path} cannot be read ({error})") from None
    return SourceFile(path, text, hashlib.sha256(text).hexdigest(), module)


def load_outside(written: str, said: str, planned: str | None = None) -> Callable[..., Any]:
    """The function or class of ``module:function`` or ``file.py:function``.

    ``planned``: the hash that its file must have; if it has another by now, the copy that
    `keep_source` made is loaded. A file is executed once for each content, with its own folder and
    the current one behind Python's path. UserError, beginning with ``said``: there is no such
    module, file or function; importing it fails; or it has changed and there is no copy.
    """
    _check_allowed(written, said)
    place, name = split_place(written, said)
    module = _module_of(_as_planned(written, said, planned), written, said)
    found: Any = getattr(module, name, None)
    if found is None:
        own = [
            n
            for n, f in inspect.getmembers(module)
            if (inspect.isfunction(f) or inspect.isclass(f)) and f.__module__ == module.__name__
        ]
        listed = f"{place} has {', '.join(own) or 'no functions'}"
        raise unknown(f"function of {place}:", name, own, listed)
    if not (inspect.isfunction(found) or inspect.isclass(found)):
        kind = type(found).__name__
        raise UserError(f"{said} {written!r} is of type {kind}: name a function")
    called: Callable[..., Any] = found
    return called


def keep_source(source: SourceFile) -> Path:
    """Keep a copy of a file in the cache, by its hash; its path. UserError: it cannot be written.

    A module of a package keeps to its package, and a copy of it alone may miss that.
    """
    path = _copy(source.hash)
    if not path.exists():
        try:
            write_whole(path, source.text)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error}): set WINNOW_CACHE to a folder that can be"
            ) from None
    return path


@contextlib.contextmanager
def own_imports(*folders: Path) -> Iterator[None]:
    """Let imports find modules in some folders and in the current one, last: they hide nothing
    that is installed.
    """
    added = [str(folder) for folder in (*folders, Path.cwd())]
    sys.path.extend(added)
    try:
        yield
    finally:
        sys.path.reverse()
        for folder in added:
            with contextlib.suppress(ValueError):
                sys.path.remove(folder)
        sys.path.reverse()


def folder_of(written: str) -> Path:
    """The folder of a file that is named; of a module the current one."""
    place = written.rpartition(":")[0]
    return Path(place).expanduser().absolute().parent if place.endswith(".py") else Path.cwd()


def failed(said: str, doing: str, error: BaseException) -> UserError:
    """What went wrong in the user's own code, and in which line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return UserError(f"{said}: {doing} failed with {type(error).__name__}: {error}{where}")


def imported_module(place: str, written: str, said: str) -> ModuleType:
    """A module of Python's path or the current folder. UserError: it is not there, or fails."""
    _check_allowed(written, said)
    importlib.invalidate_caches()  # the file may be newer than what the import system remembers
    try:
        with own_imports():
            return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise failed(f"{said} {written!r}", "importing it", error) from error
        raise _no_module(written, error.name, said) from None
    except Exception as error:  # whatever the module raises
        raise failed(f"{said} {written!r}", "importing it", error) from error


def _no_module(written: str, name: str, said: str) -> UserError:
    return UserError(
        f"{said} {written!r}: there is no module {name!r} in the current folder, "
        f"{Path.cwd()}, or on Python's path. Run the command where it is, or name its folder "
        "in PYTHONPATH"
    )


def _of_file(written: str, place: str, said: str) -> tuple[Path, str]:
    path = Path(place).expanduser()
    if not path.is_file():
        there = sorted(map(str, path.parent.glob("*.py")))
        near = difflib.get_close_matches(str(path), there, n=1, cutoff=0.4)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"{said} {written!r}: there is no file {place!r}, seen from {Path.cwd()}.{meant}"
        )
    return path.absolute(), ""


def _of_module(written: str, place: str, said: str) -> tuple[Path, str]:
    importlib.invalidate_caches()
    try:
        with own_imports():
            spec = importlib.util.find_spec(place)
    except ModuleNotFoundError as error:
        raise _no_module(written, error.name or place, said) from None
    except Exception as error:  # whatever a package raises as it is imported
        raise failed(f"{said} {written!r}", "importing it", error) from error
    if spec is None:
        raise _no_module(written, place, said)
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise UserError(
            f"{said} {written!r} has no source file, by which its results could be told from "
            "those of another version: write it in a .py file"
        )
    alone = not spec.parent
    return Path(spec.origin).absolute(), "" if alone else place


def _as_planned(written: str, said: str, planned: str | None) -> SourceFile:
    """The file as it is, or the copy of what it was when it was planned."""
    try:
        source = source_of_place(written, said)
    except UserError:
        if planned is None or not _copy(planned).exists():
            raise
        source = None
    if source is not None and planned in (None, source.hash):
        return source
    assert planned is not None
    with contextlib.suppress(OSError):
        text = _copy(planned).read_bytes()
        if hashlib.sha256(text).hexdigest() == planned:
            return SourceFile(folder_of(written) / _copy(planned).name, text, planned)
    raise UserError(
        f"{said} {written!r}: its file has changed since this experiment was planned: run the "
        "command again"
    )


def _copy(content: str) -> Path:
    return cache_folder() / "own" / f"{content}.py"


def _module_of(source: SourceFile, written: str, said: str) -> ModuleType:
    if source.module:
        module = imported_module(source.module, written, said)
        if module.__dict__.setdefault("__winnow_source__", source.hash) != source.hash:
            module.__dict__["__winnow_source__"] = source.hash  # edited since it was imported
            with own_imports():
                module = importlib.reload(module)
        return module
    name = f"winnow_outside_{source.hash[:16]}"
    if name not in sys.modules:
        sys.modules[name] = _executed(source, name, written, said)
    return sys.modules[name]


def _executed(source: SourceFile, name: str, written: str, said: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(source.path)
    sys.modules[name] = module  # dataclasses look their module up
    lines = source.text.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[module.__file__] = (len(source.text), None, lines, module.__file__)
    try:
        with own_imports(source.path.parent):
            exec(compile(source.text, module.__file__, "exec"), module.__dict__)
    except Exception as error:  # whatever the file raises
        raise failed(f"{said} {written!r}", "importing it", error) from error
    finally:
        del sys.modules[name]
    return module
