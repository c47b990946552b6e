"""Files and folders that appear whole or not at all: temporary name, fsync, rename.

Also where files lie that are made once on a machine.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from winnow.errors import UserError


def write_whole(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path``, replacing it, so that no reader ever sees a part of it.

    Raises OSError (disk full, read-only); the temporary file is gone then and ``path`` untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it is renamed to ``path`` when the block ends well.

    Files in it can be written plainly: they are made durable together, which costs fewer turns of
    the disk than one after the other.

    Raises FileExistsError when ``path`` exists by then: a finished folder is never overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            if file.is_file():
                _sync(file)
        sync_folder(temporary)
        if path.exists():
            raise FileExistsError(f"{path} exists already and is not overwritten")
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file to read that somebody else has put there, and nothing that only looks like one.

    A pipe would be waited on for ever, and a device may have no end. Raises UserError for those,
    OSError where nothing is there or it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is no regular file but a pipe, a device or a folder: remove it")
    return os.fdopen(descriptor, "rb")


def _sync(file: Path) -> None:
    """Make the content of a file durable."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where the system allows to sync folders at all."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cache_folder(given: Path | str | None = None) -> Path:
    """``given``, else $WINNOW_CACHE, else ``winnow`` in the user's cache folder."""
    if given is not None:
        return Path(given)
    if named := os.environ.get("WINNOW_CACHE"):
        return Path(named)
    return _users_caches() / "winnow"


def _users_caches() -> Path:
    """The user's cache folder, by the convention of the system."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
