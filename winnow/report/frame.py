"""Rows as a pandas data frame and as Parquet, where these packages are: both are optional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from winnow.report.flat import FlatColumn, Kind, flat_columns
from winnow.report.results import Results
from winnow.tablefile import sealed_table

if TYPE_CHECKING:
    import pandas

_PANDAS: dict[Kind, str] = {"text": "object", "whole number": "Int64", "truth": "boolean"}


def as_frame(results: Sequence[Results]) -> pandas.DataFrame | None:
    """The columns of rows.csv, a line for each row; None without pandas.

    Whole numbers and truth are nullable (``Int64``, ``boolean``): what is unknown is ``<NA>``;
    numbers are ``float64`` with NaN.
    """
    try:
        import pandas
    except ImportError:
        return None
    return pandas.DataFrame({c.name: _series(c) for c in flat_columns(results)})


def _series(column: FlatColumn) -> pandas.Series:
    import pandas

    if column.kind == "whole number" and not column.optional:
        return pandas.Series(column.cells, dtype="int64")
    return pandas.Series(column.cells, dtype=_PANDAS.get(column.kind, "float64"))


def as_parquet(results: Sequence[Results]) -> bytes | None:
    """The columns of rows.csv with their types; None without pyarrow.

    The same rows give the same bytes with one version of pyarrow, whose name is in the file. A
    digest over all of it is in its metadata (`winnow.tablefile`).
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    types = {
        "text": pyarrow.string(),
        "whole number": pyarrow.int64(),
        "number": pyarrow.float64(),
        "truth": pyarrow.bool_(),
    }
    columns = flat_columns(results)
    schema = pyarrow.schema([(column.name, types[column.kind]) for column in columns])
    table = pyarrow.table({column.name: list(column.cells) for column in columns}, schema=schema)
    return sealed_table(table)
