"""The source of a function that stands in no module: of a notebook, or of the script that runs.

Other processes cannot import such a function. What it is made of is written into a file of its own:
its source, that of the functions and classes beside it that it uses, its imports, and constants.
"""

from __future__ import annotations

import dis
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from winnow.errors import UserError

_HEAD = "# Written by Winnow from a function of a notebook or a script.\n"


def extracted(function: Callable[..., Any], said: str) -> str:
    """A file in which a function, or a class, works by itself, under its name.

    The same function gives the same text, whatever else stands beside it. UserError, beginning with
    ``said``, for what cannot be written: a lambda, a variable of a function around it, a global
    that is no import, function, class or plain constant, a source that is not known.
    """
    taken = _Taken(said)
    taken.take(function.__name__, function)
    return _HEAD + "\n".join([*sorted(taken.imports), "", *taken.parts])


class _Taken:
    """What is written so far: lines of imports, and definitions after those that they use."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.imports: set[str] = set()
        self.parts: list[str] = []
        self.seen: dict[str, Any] = {}

    def take(self, name: str, value: Any) -> None:
        """Take a global under its name, and first all that it uses."""
        if name in self.seen:
            if self.seen[name] is not value:
                raise UserError(
                    f"{self.said}: the name {name} means two things: give one another name"
                )
            return
        self.seen[name] = value
        first = len(self.seen) == 1
        if isinstance(value, ModuleType):
            self._import(name, value)
        elif not first and (line := _imported_from(name, value)):
            self.imports.add(line)
        elif isinstance(value, FunctionType | type):
            self._define(name, value)
        elif _is_plain(value):
            self.parts.append(f"{name} = {value!r}")
        else:
            raise UserError(
                f"{self.said} uses {name}, a {type(value).__name__} outside it, which no other "
                "process has: make it inside the function, or write both into a .py file and name "
                'that, e.g. "my_net.py:build"'
            )

    def _import(self, name: str, module: ModuleType) -> None:
        if module.__name__ == "__main__":
            raise UserError(f"{self.said} uses the module __main__ as {name}: use names instead")
        line = f"import {module.__name__}"
        self.imports.add(line if module.__name__ == name else f"{line} as {name}")

    def _define(self, name: str, value: FunctionType | type) -> None:
        if value.__name__ != name:
            raise UserError(
                f"{self.said} uses {value.__name__} under the name {name}: use its own name"
            )
        source, around = _source(value, self.said), _globals(value)
        for used in _names_used(compile(source, f"<{name}>", "exec")):
            if used in around and not used.startswith("__"):  # of others, calling it says so
                self.take(used, around[used])
        self.parts.append(f"\n{source}")


def _imported_from(name: str, value: Any) -> str | None:
    """The import of a function or class of another module; None for what must be defined here."""
    home, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if not (isinstance(home, str) and isinstance(own, str)) or home == "__main__":
        return None
    module, shipped = sys.modules.get(home), home.partition(".")[0] in sys.stdlib_module_names
    if getattr(module, "__file__", None) is None and not shipped:
        return None  # made in this process alone
    if getattr(module, own, None) is not value:
        return None
    return f"from {home} import {own}" + ("" if own == name else f" as {name}")


def _source(value: FunctionType | type, said: str) -> str:
    name = value.__name__
    if isinstance(value, FunctionType):
        if name == "<lambda>":
            raise UserError(f"{said} is a lambda: write it with def, which has a name")
        if outer := value.__code__.co_freevars:
            raise UserError(
                f"{said}: {name} uses {outer[0]} of the function around it: pass it in "
                "model.options, or define it inside"
            )
    try:
        if isinstance(value, FunctionType):
            return textwrap.dedent(inspect.getsource(value))
        return textwrap.dedent(_source_of_class(value))
    except (OSError, TypeError, SyntaxError):
        raise UserError(
            f"{said}: the source of {name} is not known here: write it into a .py file and name "
            'that, e.g. "my_net.py:build"'
        ) from None


def _source_of_class(value: type) -> str:
    """The source of a class, which in a notebook only its methods know the place of."""
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        pass
    methods = (f for f in vars(value).values() if isinstance(f, FunctionType))
    method = next(methods, None)
    if method is None:
        raise OSError("a class without methods")
    import ast

    lines = linecache.getlines(method.__code__.co_filename)
    at = method.__code__.co_firstlineno
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.ClassDef) and node.name == value.__name__:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first <= at <= (node.end_lineno or first):
                return "".join(lines[first - 1 : node.end_lineno])
    raise OSError("not among the lines")


def _globals(value: FunctionType | type) -> Mapping[str, Any]:
    if isinstance(value, FunctionType):
        return value.__globals__
    method = next((f for f in vars(value).values() if isinstance(f, FunctionType)), None)
    return method.__globals__ if method else vars(sys.modules[value.__module__])


def _names_used(code: CodeType) -> Iterator[str]:
    """The globals that code, and all code in it, loads; sorted within each."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_NAME",)}
    loads = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
    names = {i.argval for i in dis.get_instructions(code) if i.opname in loads}
    yield from sorted(names - own)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_used(inner)


def _is_plain(value: Any) -> bool:
    """Whether a constant can be written as it prints."""
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(k) and _is_plain(v) for k, v in value.items())
    return value is None or type(value) in (bool, int, float, complex, str, bytes)
