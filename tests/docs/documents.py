"""The documents as data: README, CONTRIBUTING and docs/, their blocks of code and commands.

Pages that say how to add something are done as a whole: see `page`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = [path for path in sorted((ROOT / "docs").glob("*.md")) if not path.name.startswith("add-a")]
TUTORIALS = (
    "start", "understand", "your-model", "reproduce-a-figure", "compare-methods", "deploy"
)  # fmt: skip
DOCUMENTS = (README, ROOT / "CONTRIBUTING.md", *DOCS)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of the page where the text begins."""

    language: str
    text: str
    line: int


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's blocks in these languages, or all of them."""
    text = page.read_text("utf-8")
    fences = re.finditer(r"^```([^`\n]*)\n(.*?)^```$", text, re.M | re.S)
    found = [Block(f[1], f[2], text.count("\n", 0, f.start(2)) + 1) for f in fences]
    return [block for block in found if not languages or block.language in languages]


def run_python(page: Path, names: dict[str, Any]) -> dict[str, Any]:
    """Execute a page's Python blocks, one after the other in one namespace; what is in it then.

    Errors name the page and its line.
    """
    for block in blocks(page, "python"):
        shifted = "\n" * (block.line - 1) + block.text
        exec(compile(shifted, str(page), "exec"), names)
    return names


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command: in ``sh`` blocks all lines, in ``console`` blocks those behind a
    dollar, and ``winnow …``, ``make …`` and ``python …`` in running text.
    """
    text = page.read_text("utf-8")
    for block in blocks(page, "sh", "console"):
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        yield from filter(None, (shlex.split(line, comments=True) for line in lines))
    running = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for inline in re.findall(r"`((?:winnow|make|python)\s[^`]+)`", running):
        yield shlex.split(inline)
