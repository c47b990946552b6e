"""Claims by the figure or table of the paper that they are read off."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from winnow.experiment.recipe.items import ITEMS
from winnow.experiment.recipe.names import shipped_figures
from winnow.report.claims.judge import Judged, Verdict
from winnow.report.claims.score import PAPERS, paper_of

_PLACES = re.compile(r"(figure|table)s? (\d+[a-z]?(?:(?:, | and | to )\d+[a-z]?)*)")
_NUMBERS = re.compile(r"(\d+)[a-z]?(?: to (\d+))?")
_FOLDERS = {paper: folder for folder, paper in PAPERS.items()}


@dataclass(frozen=True)
class ItemScore:
    """A figure or table: verdict → how many of its claims, in the order of Verdict."""

    item: str
    counts: Mapping[Verdict, int]

    @property
    def seen(self) -> bool:
        """Whether more of its claims are seen than not seen."""
        return self.counts.get("seen", 0) > self.counts.get("not seen", 0)

    @property
    def wholly_seen(self) -> bool:
        """Whether it is seen and none of its claims is not seen."""
        return self.seen and "not seen" not in self.counts


def by_item(
    judged: Sequence[Judged], figures_of: Callable[[str], Sequence[str]] = shipped_figures
) -> list[ItemScore]:
    """All figures and tables in the order of the papers, also those without a claim.

    ``figures_of``: a recipe → the figures and tables that it reproduces.
    """
    found: dict[str, Counter[Verdict]] = {item: Counter() for item in ITEMS}
    for one in judged:
        for item in items_of(one, figures_of):
            found[item][one.verdict] += 1
    order = get_args(Verdict)
    return [
        ItemScore(item, {verdict: counts[verdict] for verdict in order if counts[verdict]})
        for item, counts in found.items()
    ]


def items_of(judged: Judged, figures_of: Callable[[str], Sequence[str]]) -> tuple[str, ...]:
    """The figures and tables that the claim's place names.

    Where it names none ("section 2"), the first that its recipe reproduces: the one that the recipe
    is called by. Empty for questions of our own.
    """
    folder = _FOLDERS.get(paper_of(judged))
    if folder is None:
        return ()
    named = [item for item in _named(folder, judged.claim.place) if item in ITEMS]
    return tuple(dict.fromkeys(named)) or tuple(figures_of(judged.recipe)[:1])


def _named(folder: str, place: str) -> Iterator[str]:
    for kind, listed in _PLACES.findall(place):
        for first, last in _NUMBERS.findall(listed):
            for number in range(int(first), int(last or first) + 1):
                yield f"{folder}/{'table-' if kind == 'table' else ''}{number}"


def items_seen(scores: Sequence[ItemScore]) -> str:
    """How many figures and tables say seen, in all their claims, and by paper.

    "3 of 85 say seen, 1 of them in every claim: LTH 2, GraSP 1".
    """
    seen = Counter(PAPERS[score.item.partition("/")[0]] for score in scores if score.seen)
    said = f"{seen.total()} of {len(scores)} say seen"
    if not seen:
        return said
    wholly = sum(score.wholly_seen for score in scores)
    by_paper = ", ".join(f"{paper} {seen[paper]}" for paper in PAPERS.values() if seen[paper])
    return f"{said}, {wholly} of them in every claim: {by_paper}"
