"""The page and the figure of ``winnow explain``: parts as bars with intervals, and the tables."""

from __future__ import annotations

from pathlib import Path

from winnow.files import write_whole
from winnow.report.figures import style
from winnow.report.figures.drawing import Drawing
from winnow.report.page.answer_page import AnswerPart, answer_page, picture
from winnow.report.page.tables import plain_table
from winnow.report.parts.decompose import Decomposition, Part
from winnow.report.parts.explained import Explained
from winnow.report.parts.parts_text import HOW, cells_table, heading, parts_table, why

_SIZE = (5.6, 2.6)  # inches
_COLORS = ("#009E73", "#0072B2", "#D55E00", "#333333")


def write_explained(explained: Explained, folder: Path, command: str) -> Path:
    """Write ``index.html`` and the figure into a folder; the page.

    Raises ValueError for a ticket without parts.
    """
    if explained.parts is None:
        raise ValueError("nothing is known of its parts")
    drawing = draw_parts(explained.parts)
    write_whole(folder / f"{drawing.name}.png", drawing.png)
    write_whole(folder / f"{drawing.name}.svg", drawing.svg)
    write_whole(folder / "index.html", explained_html(explained, explained.parts, drawing, command))
    return folder / "index.html"


def explained_html(
    explained: Explained, parts: Decomposition, drawing: Drawing, command: str
) -> str:
    """The page."""
    shares, cells = parts_table(parts), cells_table(parts)
    made = (
        AnswerPart("Why", drawing=picture(drawing)),
        AnswerPart("Parts", table=plain_table("Parts", shares), note=HOW),
        AnswerPart("Networks", table=plain_table("Networks", cells)),
    )
    return answer_page(f"Why it works: {heading(explained)}", why(parts), made, command)


def draw_parts(parts: Decomposition) -> Drawing:
    """A bar for each part and for the gain, with intervals."""
    from matplotlib.figure import Figure

    with style.paper():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        shown = (*parts.parts, parts.gain)
        for place, (part, color) in enumerate(zip(shown, _COLORS, strict=True)):
            axes.barh(place, 100 * part.mean, color=color, height=0.6, xerr=_half(part), capsize=3)
        axes.axvline(0, color=style.DENSE_COLOR, lw=0.8)
        axes.set_yticks(range(len(shown)), [part.name for part in shown])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Points of test accuracy")
        png, svg = style.rendered(figure)
    caption = "The gain over a uniform random mask with new weights, and its parts, with intervals."
    return Drawing("parts", caption, png, svg)


def _half(part: Part) -> float:
    return 100 * part.interval.half_width if part.interval else 0.0
