"""A digest over every byte of a Parquet file, in a note at its end; other programs read it as ever.

The note is ``winnow-sha256:`` and 64 hex digits: SHA-256 of the file with these digits as zeros.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

_NOTE = "winnow"
_KNOWN = {b"ARROW:schema", b"pandas"}  # notes that a file of before digests can have
_MARK = b"winnow-sha256:"
_ZEROS = b"0" * 64
_PLACE = re.compile(re.escape(_MARK) + b"[0-9a-f]{64}")


def sealed_table(table: Any) -> bytes:
    """An arrow table as the bytes of a Parquet file. Raises what pyarrow raises."""
    from pyarrow import parquet

    written = io.BytesIO()
    with parquet.ParquetWriter(written, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_NOTE: (_MARK + _ZEROS).decode()})
    data = written.getvalue()
    at = data.rindex(_MARK + _ZEROS) + len(_MARK)
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + 64 :]


def unsealed_table(data: bytes) -> tuple[Any, str | None]:
    """The arrow table of a file's bytes, and its digest; None for a file of before digests.

    ValueError for damage, and for what is no Parquet file.
    """
    from pyarrow import ArrowException, parquet

    digest = _digest(data)
    try:
        opened = parquet.ParquetFile(io.BytesIO(data))
        notes = set(opened.metadata.metadata or {}) - _KNOWN
        if digest is None and notes:
            raise ValueError(f"it has the note {sorted(notes)[0]!r}, and no digest")
        return opened.read(), digest
    except (ArrowException, OSError, MemoryError, OverflowError) as error:
        raise ValueError(f"it is no Parquet file: {error}") from None


def _digest(data: bytes) -> str | None:
    """The digest that a file has, which is that of its bytes; None without one."""
    found = list(_PLACE.finditer(data, max(0, len(data) - 2**20)))
    if not found:
        return None
    at = found[-1].end() - 64
    digest = data[at : at + 64].decode()
    if hashlib.sha256(data[:at] + _ZEROS + data[at + 64 :]).hexdigest() != digest:
        raise ValueError("what it holds does not match its digest")
    return digest
