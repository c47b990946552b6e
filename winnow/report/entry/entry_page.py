"""entry.html: the answer to ``winnow enter`` on one page, beside the report of the comparison."""

from __future__ import annotations

from html import escape
from pathlib import Path

from winnow.files import write_whole
from winnow.report.density_table import plain_html
from winnow.report.entry.entry import Entry, entry_of
from winnow.report.entry.entry_figure import draw_entry
from winnow.report.entry.entry_text import LEVELS, entry_table, remarks, verdict_sentence
from winnow.report.figures.drawing import Drawing
from winnow.report.method_table import by_method, methods_html
from winnow.report.page import document, figure_html
from winnow.report.results import Results

PAGE = "entry.html"


def write_entry(results: Results, name: str, folder: Path, command: str) -> Path:
    """Write the page and its figure into the folder that has the comparison's report; the page."""
    entry = entry_of(results, name)
    drawing = draw_entry(entry)
    if drawing:
        write_whole(folder / f"{drawing.name}.png", drawing.png)
        write_whole(folder / f"{drawing.name}.svg", drawing.svg)
    write_whole(folder / PAGE, entry_html(results, entry, drawing, command))
    return folder / PAGE


def entry_html(results: Results, entry: Entry, drawing: Drawing | None, command: str) -> str:
    """The page: verdict, calls, cost, and the table of all methods."""
    figure = figure_html(drawing.name, drawing) if drawing else ""
    body = (
        f"<p><strong>{escape(verdict_sentence(entry))}</strong></p>\n"
        f"<h2>{escape(entry.name)} against others</h2>\n"
        f'<div class="scroll">\n{plain_html(entry_table(entry))}\n</div>\n'
        f'<p class="soft">{escape(LEVELS)}</p>\n'
        f"<h2>Accuracy and cost</h2>\n{_list(remarks(entry))}\n"
        f'<div class="figures">\n{figure}\n</div>\n'
        f"<h2>All methods</h2>\n{methods_html(by_method(results))}\n"
        f'<p>The whole comparison, with its figures and every number: <a href="index.html">'
        f'{escape(results.name)}</a>; every run: <a href="rows.csv">rows.csv</a>.</p>'
    )
    title = f"{entry.name} in {results.name}"
    return document(title, f"<p>Made by <code>{escape(command)}</code></p>", body)


def _list(sentences: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(said)}</li>" for said in sentences) + "</ul>"
