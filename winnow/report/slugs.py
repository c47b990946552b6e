"""What recipes and their lines are called in file names and in links of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.experiment.expected import slug_of
from winnow.report.results import Results, by_line

OF_THE_PAGE = ("found", "main", "runs", "runs-title", "search", "theme", "tooltip", "top",
               "winnow-data")  # fmt: skip
"""What elements of the page itself are called."""

OF_A_RECIPE = ("charts", "claims", "cost", "printed", "provenance", "rounds", "statistics",
               "tables")  # fmt: skip
"""What the page puts behind a recipe's slug for its sections."""


@dataclass(frozen=True)
class Slugs:
    """``recipe``, and by name those of its lines, which begin with it."""

    recipe: str
    lines: Mapping[str, str]


def slugs(results: Sequence[Results]) -> list[Slugs]:
    """Of each recipe: lth/digits → lth-digits; a second one becomes lth-digits-2.

    No two elements of the page, and no two figures, have the same name, whatever recipes and lines
    are called.
    """
    made: list[Slugs] = []
    taken = set(OF_THE_PAGE)
    for one in results:
        parts = _distinct([part.line for part in by_line(one) if part.line])
        base = slug = slug_of(one.name)
        number = 1
        while not taken.isdisjoint(_names(slug, parts)):
            number += 1
            slug = f"{base}-{number}"
        taken |= _names(slug, parts)
        made.append(Slugs(slug, {line: f"{slug}-{part}" for line, part in parts.items()}))
    return made


def _distinct(lines: Sequence[str]) -> dict[str, str]:
    """A slug for each line of one recipe, none of them that of a section."""
    found: dict[str, str] = {}
    for line in lines:
        base = slug = slug_of(line)
        number = 1
        while slug in OF_A_RECIPE or slug in found.values():
            number += 1
            slug = f"{base}-{number}"
        found[line] = slug
    return found


def _names(slug: str, parts: Mapping[str, str]) -> set[str]:
    return {slug, *(f"{slug}-{name}" for name in (*OF_A_RECIPE, *parts.values()))}
