"""Torch files, checked before torch reads them: what they become is bounded by their length.

A file is a zip archive with a pickle and one record for each storage, none compressed; or, before
torch 1.6, five pickles and then the storages.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from winnow.errors import UserError
from winnow.importing.pickled import PickleFault, check_pickle

_BEFORE = 5  # pickles: a magic number, a version, the system, the content, the keys of storages
_NO_FILE = "is damaged or no torch file"


def check_torch_file(data: bytes, path: Path) -> None:
    """UserError, which ``path`` begins, unless all that torch makes of the bytes is bounded."""
    try:
        if data[:4] == b"PK\x03\x04":  # by which torch tells the two as well
            _check_archive(data)
        else:
            _check_pickles(data)
    except PickleFault as fault:
        raise UserError(f"{path} {fault}") from fault


def _check_archive(data: bytes) -> None:
    entries = _entries(data)
    root = entries[0].filename.partition("/")[0]
    records = {entry.filename.removeprefix(f"{root}/"): entry for entry in entries}

    def room(key: str, size: int) -> bool:
        record = records.get(f"data/{key}")
        return record is not None and size <= record.file_size

    if "data.pkl" not in records:
        raise PickleFault(_NO_FILE)
    check_pickle(io.BytesIO(_content(data, records["data.pkl"])), room)


def _entries(data: bytes) -> list[zipfile.ZipInfo]:
    """What is in an archive. PickleFault: it is compressed, or two readers could see two things."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries, place = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError) as error:
        raise PickleFault(f"{_NO_FILE}: {error}") from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise PickleFault(
            "has compressed parts, whose size no file bounds; torch writes none: save it again"
        )
    names = {entry.orig_filename.lower() for entry in entries}
    odd = any(e.filename != e.orig_filename or not e.filename.isascii() for e in entries)
    sizes = sum(entry.file_size for entry in entries)
    same = all(entry.file_size == entry.compress_size for entry in entries)
    if not entries or odd or not same or len(names) < len(entries) or sizes > len(data):
        raise PickleFault(f"{_NO_FILE}: its parts have one name or place")
    if place != _directory(data):
        raise PickleFault(f"{_NO_FILE}: it has two lists of its parts")
    return entries


def _directory(data: bytes) -> int | None:
    """Where the last bytes say that the list of parts begins; None: the file does not end so."""
    if data[-22:-18] != b"PK\x05\x06":
        return None
    (place,) = struct.unpack("<L", data[-6:-2])
    if data[-42:-38] != b"PK\x06\x07":  # with a second end, for large files
        return int(place)
    (end,) = struct.unpack("<Q", data[-34:-26])
    if data[end : end + 4] != b"PK\x06\x06" or end + 56 != len(data) - 42:
        return None
    (far,) = struct.unpack("<Q", data[end + 48 : end + 56])
    return int(far) if place in (far, 0xFFFFFFFF) else None


def _content(data: bytes, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a part. Its checksum is torch's to check, which may be told to write none."""
    begin = entry.header_offset
    if data[begin : begin + 4] != b"PK\x03\x04" or len(data) < begin + 30:
        raise PickleFault(_NO_FILE)
    name, extra = struct.unpack("<HH", data[begin + 26 : begin + 30])
    begin += 30 + name + extra
    return data[begin : begin + entry.file_size]


def _check_pickles(data: bytes) -> None:
    stored: dict[str, int] = {}

    def room(key: str, size: int) -> bool:
        stored[key] = size
        return sum(stored.values()) <= len(data)

    file = io.BytesIO(data)
    for _ in range(_BEFORE):
        check_pickle(file, room)
