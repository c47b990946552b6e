"""rows.csv: every run of every recipe, one line each, for whoever wants other figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from winnow.report.flat import FlatCell, flat_columns
from winnow.report.results import Results


def as_csv(results: Sequence[Results]) -> str:
    """One line for each recipe, replicate, arm, draw and round; columns as in `flat_columns`.

    What is unknown is empty, truth is ``true`` or ``false``, floats read back exactly.
    """
    columns = flat_columns(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for cells in zip(*(column.cells for column in columns), strict=True):
        writer.writerow(map(_written, cells))
    return text.getvalue()


def _written(cell: FlatCell) -> str:
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
