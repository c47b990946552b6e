"""entry.html: the answer to ``winnow enter`` on one page, beside the report of the comparison."""

from __future__ import annotations

from pathlib import Path

from winnow.files import write_whole
from winnow.report.entry.entry import Entry, entry_of
from winnow.report.entry.entry_figure import draw_entry
from winnow.report.entry.entry_text import LEVELS, entry_table, remarks, verdict_sentence
from winnow.report.figures.drawing import Drawing
from winnow.report.page.answer_page import AnswerPart, answer_page, picture
from winnow.report.page.tables import method_table, plain_table
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
    calls = plain_table(f"{entry.name} against others", entry_table(entry))
    parts = (
        AnswerPart(calls.label, table=calls, note=LEVELS),
        AnswerPart("Accuracy and cost", remarks(entry), picture(drawing)),
        AnswerPart("All methods", table=method_table(results)),
    )
    links = (
        ("index.html", f"The whole comparison: {results.name}"),
        ("rows.csv", "every run: rows.csv"),
    )
    title = f"{entry.name} in {results.name}"
    return answer_page(title, verdict_sentence(entry), parts, command, links)
