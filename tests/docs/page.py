"""A page of the documentation, done: its files written, its edits made, its commands run.

The blocks of a page say by their first line what they are::

    ```python ria.py                   a file
    ```diff winnow/models/__init__.py  an edit: + goes in, - goes out, behind the lines before them
    ```python                          code, run in order, all in one namespace
    ```console                         "$ winnow …" and what it prints; … stands for anything

All happens in a folder that has a copy of the package, and that copy is what is imported, by the
workers that train as well. Blocks of other kinds are read by people only.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """``kind``: the word behind the fence. ``file``: the word after it, or ""."""

    kind: str
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of ``docs/PAGE.md`` in order."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    fenced = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", text, re.M | re.S)
    return [Block(*parts) for parts in fenced]


def do(page: str, folder: Path) -> dict[str, Any]:
    """Everything that a page says, in order; the names that its code defines."""
    names: dict[str, Any] = {"__name__": page}
    for block in blocks(page):
        if block.kind == "diff":
            file = folder / block.file
            file.write_text(edited(file.read_text(), block.text))
        elif block.file:
            (folder / block.file).write_text(block.text)
        elif block.kind == "python":
            exec(compile(block.text, f"{page}.md", "exec"), names)
        elif block.kind == "console":
            _run(block.text)
    return names


@contextlib.contextmanager
def checkout(folder: Path) -> Iterator[Path]:
    """A folder with a copy of the package, the current one, where ``import winnow`` finds it."""
    shutil.copytree(
        ROOT / "winnow", folder / "winnow", ignore=shutil.ignore_patterns("__pycache__")
    )
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("WINNOW_STORE", str(folder / "runs"))
        try:
            yield folder
        finally:
            for name in [name for name in sys.modules if _is_ours(name)]:
                del sys.modules[name]
            sys.modules.update(before)


def edited(text: str, diff: str) -> str:
    """The text with a page's edit. AssertionError for lines that it has not."""
    lines, place = text.split("\n"), 0
    for line in diff.splitlines():
        sign, rest = line[:1], line[1:]
        if sign == "+":
            lines.insert(place, rest)
            place += 1
            continue
        assert rest in lines[place:], f"after line {place} there is no line {rest!r}"
        place = lines.index(rest, place)
        if sign == "-":
            del lines[place]
        else:
            place += 1
    return "\n".join(lines)


def is_printed(expected: str, output: str) -> bool:
    """Whether the output has the expected lines, in order, with more between them or not.

    Spaces count once, and … stands for anything within a line.
    """
    rest = [" ".join(line.split()) for line in output.splitlines()]
    for line in expected.splitlines():
        pattern = ".*".join(map(re.escape, " ".join(line.split()).split("…")))
        place = next((k for k, own in enumerate(rest) if re.fullmatch(pattern, own)), None)
        if place is None:
            return False
        rest = rest[place + 1 :]
    return True


def _is_ours(name: str) -> bool:
    """Whether a module is the package's, or imports it: the shared ones of the tests."""
    file = getattr(sys.modules[name], "__file__", None) or ""
    return name.partition(".")[0] == "winnow" or str(ROOT / "tests") in file


def _run(text: str) -> None:
    """The commands of a console, compared with what they are to print."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "winnow", command
        output = _output(arguments)
        assert is_printed(expected, output), f"$ {command}\n{output}"


def _output(arguments: list[str]) -> str:
    from winnow import cli

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["winnow", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code, printed.getvalue()
    return printed.getvalue()
