"""What the page gets of one recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.report.claims.judge import Judged
from winnow.report.figures.drawing import Drawing
from winnow.report.results import Results
from winnow.report.statement import Statement


@dataclass(frozen=True)
class Section:
    """One recipe on the page: its results, its words, its figures under their file names, and the
    claims of its paper.

    ``lines``: the sections of its lines, which have verdict, figures and table of their own.
    """

    slug: str
    results: Results
    statements: Sequence[Statement]
    drawings: Mapping[str, Drawing]
    lines: Sequence[Section] = ()
    judged: Sequence[Judged] = ()
