"""The picture of docs/architecture.md: how data flows, and the floors of the house, as one SVG.

The floors are those that tests/test_imports.py holds imports to. Text stays text; colours follow
the reader's light or dark, on a ground of the picture's own.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

FLOWS = (  # what, in two lines, and the package that does it
    ("recipe", "YAML: lines,", "scales, claims"),
    ("plan", "graph of runs", "and analyses"),
    ("executor", "one queue,", "many workers"),
    ("engine", "trains a job,", "step by step"),
    ("store", "files, whole", "or not at all"),
    ("report", "tables, figures,", "verdict, claims"),
)
WIDTH, MARGIN, STAGE, ROW = 800, 20, 84, 32
ROOM = 3  # letters, beside a package's name
_TEST = Path(__file__).parents[2] / "tests" / "test_imports.py"

_STYLE = """
  svg { color-scheme: light dark; font: 14px system-ui, sans-serif; }
  .ground { fill: #f7f7f5; } .box { fill: #fff; stroke: #9aa3ad; } text { fill: #1b1b1b; }
  .soft { fill: #5a6068; font-size: 12.5px; } .name { font-weight: 600; }
  .code { font-family: ui-monospace, monospace; font-size: 13px; }
  .arrow { stroke: #5a6068; stroke-width: 1.5; fill: none; } .head { fill: #5a6068; }
  .upper { fill: #e8f0f8; stroke: #8fb0d0; } .lower { fill: #eef5ea; stroke: #9dbd8b; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #1d2024; } .box { fill: #2a2e34; stroke: #6b747e; } text { fill: #e8e8e8; }
    .soft { fill: #a9b0b8; } .arrow { stroke: #a9b0b8; } .head { fill: #a9b0b8; }
    .upper { fill: #23364a; stroke: #4f7396; } .lower { fill: #26382a; stroke: #587a52; }
  }
"""


def picture() -> str:
    """The SVG."""
    floors: Sequence[Sequence[str]] = runpy.run_path(str(_TEST))["FLOORS"]
    top = 190
    height = top + ROW * len(floors) + MARGIN
    body = "\n".join([*_flow(58), *_house(floors, top)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="title">\n<title id="title">How data flows through Winnow, and which '
        f"package may import which</title>\n<style>{_STYLE}</style>\n"
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>\n{body}\n</svg>\n'
    )


def _flow(y: int) -> Iterator[str]:
    """Six stages from left to right."""
    yield _text(MARGIN, y - 24, "How data flows", "name")
    gap = 20
    wide = (WIDTH - 2 * MARGIN - gap * (len(FLOWS) - 1)) / len(FLOWS)
    for k, (name, *lines) in enumerate(FLOWS):
        x = MARGIN + k * (wide + gap)
        yield _box(x, y, wide, STAGE, "box")
        yield _text(x + 9, y + 26, name, "name")
        for line, about in enumerate(lines):
            yield _text(x + 9, y + 48 + 18 * line, about, "soft")
        if k:
            yield _arrow(x - gap + 3, y + STAGE / 2, x - 3, y + STAGE / 2)


def _house(floors: Sequence[Sequence[str]], top: int) -> Iterator[str]:
    """A row for each floor, from the roof to the ground; each package a box."""
    yield _text(MARGIN, top - 14, "What imports what: a package only those on floors below", "name")
    middle = next(k for k, units in enumerate(floors) if "algorithms" in units)
    left, label = MARGIN + 28, 206
    for k, units in enumerate(floors):
        y = top + ROW * k
        yield _text(MARGIN, y + 18, str(len(floors) - k), "soft")
        letters = sum(len(unit) + ROOM for unit in units)
        x, kind = float(left), "lower" if k >= middle else "upper"
        for unit in units:
            wide = (len(unit) + ROOM) / letters * (WIDTH - MARGIN - label - left)
            yield _box(x, y, wide - 6, ROW - 6, kind)
            yield _text(x + 9, y + 18, unit, "code")
            x += wide
    x = WIDTH - MARGIN - label + 4
    yield from _brace(x, top, top + ROW * middle - 8, "the upper half:", "recipes, stores, reports")
    bottom = top + ROW * len(floors) - 8
    yield from _brace(x, top + ROW * middle, bottom, "the lower half:", "your own model and loop")


def _brace(x: float, top: float, bottom: float, *lines: str) -> Iterator[str]:
    yield f'<path class="arrow" d="M{x} {top}h8V{bottom}h-8"/>'
    for k, line in enumerate(lines):
        kind = "soft" if k else "name"
        yield _text(x + 20, (top + bottom) / 2 + 18 * k, line, kind)


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    head = f'<path class="head" d="M{to_x:g} {to_y:g}l-7 -4v8z"/>'
    return f'<path class="arrow" d="M{x:g} {y:g}L{to_x - 6:g} {to_y:g}"/>{head}'


def _box(x: float, y: float, wide: float, high: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{wide:g}" height="{high}" rx="4"/>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'
