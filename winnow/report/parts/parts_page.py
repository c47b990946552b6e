"""The page and the figure of ``winnow explain``: parts as bars with intervals, and the tables."""

from __future__ import annotations

from html import escape
from pathlib import Path

from winnow.files import write_whole
from winnow.report.density_table import plain_html
from winnow.report.figures import style
from winnow.report.figures.drawing import Drawing
from winnow.report.page import document, figure_html
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
    body = (
        f"<p><strong>{escape(why(parts))}</strong></p>\n"
        f'<div class="figures">\n{figure_html(drawing.name, drawing)}\n</div>\n'
        f'<h2>Parts</h2>\n<div class="scroll">\n{plain_html(parts_table(parts))}\n</div>\n'
        f'<p class="soft">{escape(HOW)}</p>\n'
        f'<h2>Networks</h2>\n<div class="scroll">\n{plain_html(cells_table(parts))}\n</div>'
    )
    made = f"<p>Made by <code>{escape(command)}</code></p>"
    return document(f"Why it works: {heading(explained)}", made, body)


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
