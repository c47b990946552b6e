"""A page around one question: its answer in a sentence, then parts with figure and table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from winnow.report.figures.drawing import Drawing
from winnow.report.page.render import fill
from winnow.report.page.tables import PageTable


@dataclass(frozen=True)
class Picture:
    """A drawing as the template shows it: the SVG in base64, as names inside several SVGs of one
    page would collide otherwise.
    """

    name: str
    caption: str
    data: str


@dataclass(frozen=True)
class AnswerPart:
    """A heading with what stands below it."""

    heading: str
    sentences: tuple[str, ...] = ()
    drawing: Picture | None = None
    table: PageTable | None = None
    note: str = ""


def answer_page(
    title: str,
    answer: str,
    parts: Sequence[AnswerPart],
    command: str,
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """The page; ``links`` are addresses with their words. All text is escaped."""
    return fill(
        "answer_page.html.j2",
        title=title,
        answer=answer,
        parts=parts,
        command=command,
        links=links,
    )


def picture(drawing: Drawing | None) -> Picture | None:
    """The SVG of a drawing for a template; None of none."""
    if drawing is None:
        return None
    data = base64.b64encode(drawing.svg).decode("ascii")
    return Picture(drawing.name, drawing.caption, data)
