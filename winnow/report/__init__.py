"""Reports: what a store holds of an experiment, as tables, figures, a verdict and one page.

Three steps, each in plain values, so that every renderer shares one query:

1. Rows. `read` brings together what the plan expects (`winnow.experiment.expected`) and what the
   store holds: a Row for each point of the experiment, its arms, its learning curves (`results`).
2. Views, which only select and average rows. `statistics` has the rules of averaging and pairing
   that all of them share.
   - `contrasts`: an arm against another, with paired differences and intervals
   - `density_table`: densities × arms; `method_table`: methods × densities
   - `series`: what figures against density show; `curves`: which learning curves
3. Renderers, which only write what a view says.
   - `claims`: what a paper states against the rows, and the scoreboard
   - words: `verdict` (`rule_statement`, `paired_statement`), `comparison` (of methods), `caveats`;
     `wording` writes the numbers
   - `answer`: what came out, in one sentence; `brief`: it and a small table (`brief_table`), which
     is what a newcomer reads first; `screen`: what a terminal shows, with bars
   - `figures`: matplotlib, PNG and SVG
   - `tables`: CSV, Markdown, LaTeX; `flat`: rows as columns, for `csvfile` and `frame` (pandas,
     Parquet); `notebook`: what Jupyter shows
   - the tables' text; `csvfile`: rows.csv, every run; `page`: index.html, all of it

Reports never train and know no plan and no engine. To add a figure or a table: a view with its
dataclass and a test by hand, then a renderer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from winnow.errors import UserError
from winnow.files import write_whole
from winnow.report import csvfile, page
from winnow.report.answer import answer
from winnow.report.brief import brief_text
from winnow.report.claims.judge import judge_all
from winnow.report.density_table import by_density, table_text
from winnow.report.figures import draw_figures, draw_views
from winnow.report.figures.drawing import Drawing
from winnow.report.frame import as_parquet
from winnow.report.method_table import by_method, methods_text
from winnow.report.read import read_results
from winnow.report.results import Curve, Results, Row, by_line, compares
from winnow.report.screen import screen_text
from winnow.report.slugs import Slugs, slugs
from winnow.report.statement import Statement
from winnow.report.tables import as_csv_table, as_latex, as_markdown, tables_of
from winnow.report.verdict import main_verdict, verdict, verdict_text

__all__ = [
    "Curve",
    "Paths",
    "Results",
    "Row",
    "Statement",
    "answer",
    "brief_text",
    "by_density",
    "by_line",
    "by_method",
    "compares",
    "main_verdict",
    "methods_text",
    "read_results",
    "screen_text",
    "table_text",
    "verdict",
    "verdict_text",
    "write_report",
]


@dataclass(frozen=True)
class Paths:
    """The files of a report; ``figures`` lists each figure as PNG and as SVG, ``tables`` each table
    as CSV, Markdown and LaTeX. ``parquet``: rows.csv with types, None without pyarrow.
    """

    page: Path
    csv: Path
    figures: list[Path]
    tables: list[Path] = field(default_factory=list)
    parquet: Path | None = None


def write_report(results: Sequence[Results], out: Path, *, command: str = "") -> Paths:
    """Write ``index.html``, ``rows.csv``, ``rows.parquet``, figures and tables into ``out``.

    ``rows.parquet`` needs pyarrow, and is left out (an older one removed) where it is not here.

    Each file appears whole and replaces an older one; other files in ``out`` stay. ``command``
    is what made the report, as the user typed it. The same results give the same bytes.

    Raises UserError without results, or when ``out`` is a file; OSError when it cannot write.
    """
    if not results:
        raise UserError("a report needs the results of at least one recipe, and got none.")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file. Name a folder: the report writes several files.")
    sections = [
        _section(recipe, named) for recipe, named in zip(results, slugs(results), strict=True)
    ]
    sections = _figures_named_once(sections)
    parquet = as_parquet(results)
    rows = out / "rows.parquet"
    paths = Paths(
        out / "index.html", out / "rows.csv", [], parquet=None if parquet is None else rows
    )
    for section in [part for whole in sections for part in (whole, *whole.lines)]:
        for name, drawing in section.drawings.items():
            paths.figures.extend(_write_figure(out, name, drawing))
    for section in sections:
        paths.tables.extend(_write_tables(out / "tables", section))
    write_whole(paths.csv, csvfile.as_csv(results))
    if parquet is None:
        rows.unlink(missing_ok=True)  # of other results than rows.csv
    else:
        write_whole(rows, parquet)
    # Last, so that a page never refers to files that are not there yet.
    beside = [file for file in (paths.parquet, *paths.tables) if file]
    names = [file.relative_to(out).as_posix() for file in beside]
    text = page.page_html(sections, command=command, version=_version(), beside=names)
    write_whole(paths.page, text)
    return paths


def _section(results: Results, named: Slugs) -> page.Section:
    """The section of a recipe; of each of its lines, where it has any, inside of it."""
    try:
        judged = judge_all(results)
    except UserError as error:  # of another version: the rest of the report holds without them
        judged, results = (), replace(results, notes=(*results.notes, str(error)))
    slug, parts = named.recipe, by_line(results)
    drawn = draw_views(results)
    if parts == (results,):
        drawn += draw_figures(results)
        return page.Section(slug, results, verdict(results), _named(drawn, slug), (), judged)
    inside = tuple(
        page.Section(name, part, verdict(part), _named(draw_figures(part), name))
        for part in parts
        for name in [named.lines[part.line]]
    )
    return page.Section(slug, results, (), _named(drawn, slug), inside, judged)


def _named(drawings: Sequence[Drawing], slug: str) -> dict[str, Drawing]:
    """Drawings by the names of their files; a paper's figure has its own: lth-4."""
    return {one.name if one.item else f"{slug}-{one.name}": one for one in drawings}


def _figures_named_once(sections: Sequence[page.Section]) -> list[page.Section]:
    """The sections; a paper's figure that several recipes draw has the recipe's name before it."""
    count = Counter(name for section in sections for name in section.drawings)
    return [
        replace(
            section,
            drawings={
                f"{section.slug}-{name}" if count[name] > 1 else name: drawing
                for name, drawing in section.drawings.items()
            },
        )
        for section in sections
    ]


def _write_figure(out: Path, name: str, drawing: Drawing) -> tuple[Path, Path]:
    png, svg = out / f"{name}.png", out / f"{name}.svg"
    write_whole(png, drawing.png)
    write_whole(svg, drawing.svg)
    return png, svg


def _write_tables(folder: Path, section: page.Section) -> list[Path]:
    """Each table of a recipe as CSV, Markdown and LaTeX, named like its figures."""
    written = []
    for table in tables_of(section.results, section.judged):
        name = f"{section.slug}-{table.name}"
        texts = (
            ("csv", as_csv_table(table)),
            ("md", as_markdown(table)),
            ("tex", as_latex(table, name)),
        )
        for ending, text in texts:
            write_whole(folder / f"{name}.{ending}", text)
            written.append(folder / f"{name}.{ending}")
    return written


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("winnow")
    except PackageNotFoundError:  # the source tree, not installed
        return "(not installed)"
