"""The tables of a report as files: one value (`plain`), three renderers (CSV, Markdown, LaTeX).

``of_results`` makes the values: a table for each metric by density, of methods, of claims.
"""

from winnow.report.tables.latex import as_latex
from winnow.report.tables.of_results import tables_of
from winnow.report.tables.plain import Measured, PlainTable
from winnow.report.tables.text import as_csv_table, as_markdown

__all__ = ["Measured", "PlainTable", "as_csv_table", "as_latex", "as_markdown", "tables_of"]
