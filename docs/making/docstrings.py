"""Winnow's docstrings as reStructuredText: they are prose in which only code is marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_CODE = re.compile(r"``.+?``|`[^`]+`")
_PUBLIC = re.compile(r"wn\.(\w+)")
_MARKUP = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")  # what would begin emphasis, a name, a link


def as_rest(lines: Iterable[str]) -> list[str]:
    """The lines of a docstring so that Sphinx shows each as it is written.

    Code is marked by one backtick or by two and stays code (`wn.prune` is a link as well); what
    stands outside of it has no markup but paragraphs, lists, and blocks after ``::``, whose lines
    are left alone.
    """
    return list(_escaped(lines))


def _escaped(lines: Iterable[str]) -> Iterator[str]:
    block: int | None = None  # the indentation of the text before a block of code
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        yield line if block is not None else _line(line)
        if line.rstrip().endswith("::"):
            block = indent


def _line(line: str) -> str:
    parts, place = [], 0
    for code in _CODE.finditer(line):
        parts += [_prose(line[place : code.start()]), _code(code.group().strip("`"))]
        place = code.end()
    return "".join([*parts, _prose(line[place:])])


def _code(text: str) -> str:
    """Code; a link where it is one of the public names, as users write it: wn.prune."""
    public = _PUBLIC.fullmatch(text)
    return f":py:obj:`{text} <winnow.{public[1]}>`" if public else f"``{text}``"


def _prose(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text)
