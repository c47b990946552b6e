"""The scoreboard: claims by paper, with counts. One value; text, Markdown and the page write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from winnow.report.claims.intervals import ALPHA
from winnow.report.claims.judge import Judged, Verdict
from winnow.report.claims.number import count_reproduced
from winnow.report.claims.words import expected_in_words, number_in_words, ours_in_words

PAPERS = {
    "lth": "LTH",
    "stabilizing": "Stabilizing",
    "grasp": "GraSP",
    "data-dependent": "Data-dependent",
    "jackpots": "Jackpots",
}
"""The folder of a recipe → the paper, in the order of the scoreboard."""

SCORE_HEAD = (
    "verdict",
    "claim",
    "what it says",
    "ours [95 %]",
    "expected",
    "the paper's number",
    "n",
    "n needed",
    "why",
)


@dataclass(frozen=True)
class PaperScore:
    """One paper: verdict → how many claims, in the order of Verdict and only where there are any;
    numbers reproduced, of how many; and its claims.
    """

    paper: str
    counts: dict[Verdict, int]
    numbers: tuple[int, int]
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class Scoreboard:
    """The papers, and what chance does: ``decided`` counts confirmed and contradicted claims."""

    papers: tuple[PaperScore, ...]

    @property
    def decided(self) -> int:
        """How many claims are confirmed or contradicted."""
        return sum(
            paper.counts.get("confirmed", 0) + paper.counts.get("contradicted", 0)
            for paper in self.papers
        )

    @property
    def expected_false(self) -> float:
        """How many of the decided ones chance alone is expected to get wrong, at most.

        Each interval misses with α. Claims are fixed in recipes before the runs, so nothing is
        chosen by its result and no correction is made.
        """
        return ALPHA * self.decided


def scoreboard(judged: Sequence[Judged]) -> Scoreboard:
    """Claims by paper: the five first, then others as they come."""
    groups: dict[str, list[Judged]] = {name: [] for name in PAPERS.values()}
    for one in judged:
        groups.setdefault(paper_of(one), []).append(one)
    return Scoreboard(tuple(_score(name, group) for name, group in groups.items() if group))


def paper_of(judged: Judged) -> str:
    """The paper of a claim: as written, else of the recipe's folder, else the recipe itself."""
    folder = judged.recipe.partition("/")[0]
    return judged.claim.paper or PAPERS.get(folder, judged.recipe)


def counts_in_words(counts: Mapping[Verdict, int]) -> str:
    """The counts of verdicts: "2 confirmed, 1 undecided"."""
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def summary(score: PaperScore) -> str:
    """The counts in words: "2 confirmed, 1 undecided; numbers reproduced: 1 of 2"."""
    said = counts_in_words(score.counts)
    good, given = score.numbers
    return f"{said}; numbers reproduced: {good} of {given}" if given else said


def chance(board: Scoreboard) -> str:
    """What chance alone may have got wrong, in words."""
    return (
        f"{board.decided} decided at 95 %, each claim fixed before its runs, so nothing is "
        f"corrected: chance alone is expected to get {board.expected_false:.1f} of them wrong."
    )


def score_lines(score: PaperScore) -> list[tuple[str, ...]]:
    """A line for each claim, in the columns of SCORE_HEAD."""
    return [_line(one) for one in score.judged]


def _score(name: str, group: Sequence[Judged]) -> PaperScore:
    verdicts = [one.verdict for one in group]
    counts = {v: verdicts.count(v) for v in get_args(Verdict) if v in verdicts}
    return PaperScore(name, counts, count_reproduced([one.number for one in group]), tuple(group))


def _line(judged: Judged) -> tuple[str, ...]:
    claim = judged.claim
    says = f"{claim.says} ({claim.place})" if claim.place else claim.says
    return (
        judged.verdict,
        claim.id,
        says,
        ours_in_words(judged),
        expected_in_words(judged),
        number_in_words(judged),
        "" if judged.n is None else str(judged.n),
        "" if judged.needed is None else str(judged.needed),
        judged.reason,
    )
