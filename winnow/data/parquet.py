"""The rows of a parquet file, in memory that its length bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from winnow.data.decode import ROWS, reason
from winnow.data.facts import Facts
from winnow.errors import UserError

_TIMES = 64  # images are compressed already: files of them do not grow when they are unpacked
_FREE = 2**24  # bytes that a file may always unpack to


def parquet_tables(data: bytes, facts: Facts, where: str) -> Iterator[Any]:
    """The images and labels in the bytes of a file, as Arrow tables of at most ``ROWS`` rows.

    Values that a file holds once for many rows are not copied for each. UserError, which ``where``
    begins: it is damaged, or so packed that it would take many times its length.
    """
    import pyarrow
    from pyarrow import parquet

    names = (*facts.image_columns, *facts.label_columns)
    try:
        found = parquet.ParquetFile(pyarrow.BufferReader(data))
        schema = found.schema
        leaves = [schema.column(i) for i in range(len(schema))]
        wanted = [leaf.path for leaf in leaves if _is_wanted(leaf.path, names)]
        _check_unpacked(found.metadata, set(wanted), len(data), where)
        once = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        found = parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=once)
        top = sorted({path.partition(".")[0] for path in wanted})
        if not found.metadata.num_rows:
            return
        if len(top) < 2:  # a column is missing: the table without rows says which there are
            yield pyarrow.Table.from_batches([], found.schema_arrow)
        for batch in found.iter_batches(batch_size=ROWS, columns=wanted, use_threads=False):
            yield pyarrow.Table.from_batches([batch])
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{where} cannot be read ({reason(error)}). The file is damaged; get a fresh copy."
        ) from error


def _is_wanted(path: str, names: tuple[str, ...]) -> bool:
    """Whether a leaf is of a label or an image, whose own path is not followed."""
    top, _, inner = path.partition(".")
    return top in names and inner != "path"


def _check_unpacked(metadata: Any, wanted: set[str], length: int, where: str) -> None:
    """UserError where the columns' pages are together many times as long as the file."""
    unpacked = 0
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        columns = (about.column(i) for i in range(about.num_columns))
        unpacked += sum(c.total_uncompressed_size for c in columns if c.path_in_schema in wanted)
    if unpacked > _TIMES * length + _FREE:
        raise UserError(
            f"{where} has {length:,} bytes and unpacks to {unpacked:,}, as a decompression bomb "
            "does: get another copy"
        )
