"""Reports: plain rows → verdict, tables, figures, CSV and one page. Never trains."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from winnow.errors import UserError
from winnow.files import write_whole
from winnow.report import csvfile, figures, page
from winnow.report.drawing import Drawing
from winnow.report.matrix import as_text as matrix_text
from winnow.report.matrix import by_method
from winnow.report.results import Curve, Results, Row
from winnow.report.statement import Statement
from winnow.report.table import as_text as table_text
from winnow.report.table import query
from winnow.report.verdict import as_text as verdict_text
from winnow.report.verdict import verdict

__all__ = [
    "Curve",
    "Paths",
    "Results",
    "Row",
    "Statement",
    "by_method",
    "matrix_text",
    "query",
    "table_text",
    "verdict",
    "verdict_text",
    "write",
]


@dataclass(frozen=True)
class Paths:
    """The files of a report; ``figures`` lists each figure as PNG and as SVG."""

    page: Path
    csv: Path
    figures: list[Path]


def write(results: Sequence[Results], out: Path, *, command: str = "") -> Paths:
    """Write ``index.html``, ``rows.csv`` and the figures into the folder ``out``.

    Each file appears whole and replaces an older one; other files in ``out`` stay. ``command``
    is what made the report, as the user typed it. The same results give the same bytes.

    Raises UserError without results, or when ``out`` is a file; OSError when it cannot write.
    """
    if not results:
        raise UserError("a report needs the results of at least one recipe, and got none.")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file. Name a folder: the report writes several files.")
    sections = [_section(one, slug) for one, slug in zip(results, _slugs(results), strict=True)]
    paths = Paths(out / "index.html", out / "rows.csv", [])
    for section in sections:
        for name, drawing in section.drawings.items():
            paths.figures.extend(_write_figure(out, name, drawing))
    write_whole(paths.csv, csvfile.as_csv(results))
    # Last, so that a page never stands beside figures that are not there yet.
    write_whole(paths.page, page.as_html(sections, command=command, version=_version()))
    return paths


def _section(results: Results, slug: str) -> page.Section:
    drawings = {f"{slug}-{one.name}": one for one in figures.draw(results)}
    return page.Section(slug, results, verdict(results), drawings)


def _write_figure(out: Path, name: str, drawing: Drawing) -> tuple[Path, Path]:
    png, svg = out / f"{name}.png", out / f"{name}.svg"
    write_whole(png, drawing.png)
    write_whole(svg, drawing.svg)
    return png, svg


def _slugs(results: Sequence[Results]) -> list[str]:
    """A file name for each recipe: lth/digits → lth-digits; a second one becomes lth-digits-2."""
    slugs: list[str] = []
    for one in results:
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", one.name).strip("-.") or "recipe"
        number, slug = 1, base
        while slug in slugs:
            number += 1
            slug = f"{base}-{number}"
        slugs.append(slug)
    return slugs


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("winnow")
    except PackageNotFoundError:  # the source tree, not installed
        return "(not installed)"
