"""Files and folders that appear whole or not at all: temporary name, fsync, rename.

The one door to a store: all that is written there is written here. Also where files lie that are
made once on a machine.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import os
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from winnow.errors import UserError
from winnow.locks import hold, is_named

_ON_WINDOWS = sys.platform == "win32"
_DAY = 86_400.0  # seconds after which a temporary is left behind, where files cannot be held
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""What a disk answers that is full, read-only, not this user's, or broken."""

_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EISDIR, errno.EACCES, errno.EPERM)


def write_whole(path: Path, data: bytes | str) -> None:
    """Write ``data`` to ``path``, replacing it, so that no reader ever sees a part of it.

    Raises OSError (disk full, read-only); the temporary file is gone then and ``path`` untouched.
    Only where the last step fails, which makes the name durable, ``path`` is the new one.
    """
    make_folder(path.parent)
    with contextlib.ExitStack() as closing:
        temporary, descriptor = _held_temporary(path)
        assert descriptor is not None
        closing.callback(os.close, descriptor)
        try:
            _write_all(descriptor, data.encode() if isinstance(data, str) else data)
            os.fsync(descriptor)
            if _ON_WINDOWS:
                closing.close()  # it renames no open file
            temporary.replace(path)
        except BaseException:
            _remove_file(temporary)
            raise
    sync_folder(path.parent)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it is renamed to ``path`` when the block ends well.

    Files in it can be written plainly (`write_new`): they are made durable together, which costs
    fewer turns of the disk than one after the other.

    Raises FileExistsError when ``path`` exists by then: a finished folder is never overwritten.
    """
    make_folder(path.parent)
    with contextlib.ExitStack() as closing:
        temporary, descriptor = _held_temporary(path, folder=True)
        if descriptor is not None:
            closing.callback(os.close, descriptor)
        try:
            yield temporary
            _sync_below(temporary)
            if path.exists():
                raise FileExistsError(errno.EEXIST, "it exists already, is not overwritten", path)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    sync_folder(path.parent)


def write_new(path: Path, data: bytes | str) -> None:
    """Write a file that is not there yet, in a folder of `whole_folder`: durable with the rest."""
    descriptor = _new_file(path)
    try:
        _write_all(descriptor, data.encode() if isinstance(data, str) else data)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and those that it lies in, durably. Raises OSError."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    with contextlib.suppress(FileExistsError):  # another process was quicker
        path.mkdir()
        sync_folder(path.parent)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))


def rename_durably(path: Path, to: Path) -> None:
    """Give a file or folder another name, durably. Raises OSError."""
    path.rename(to)
    sync_folder(to.parent)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file that may be gone already. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def sweep(folder: Path, name: str = "") -> None:
    """Remove the temporaries of `write_whole` and `whole_folder` that nobody writes any more: in a
    folder, of files and folders whose name begins so.

    Writers hold theirs with flock, which the system ends when they die; where it cannot be told,
    temporaries go when they are a day old.
    """
    for left in folder.glob(f".{glob.escape(name)}*.tmp"):
        with contextlib.suppress(OSError):  # another process was quicker, or it cannot be removed
            _sweep_one(left)


def _sweep_one(left: Path) -> None:
    descriptor = None if _ON_WINDOWS else os.open(left, os.O_RDONLY)
    try:
        held = None if descriptor is None else hold(descriptor)
        old = time.time() - left.stat().st_mtime > _DAY
        if held is False or (held is None and not old):
            return
        if left.is_dir():
            shutil.rmtree(left)
        else:
            remove(left)
    finally:
        if descriptor is not None:
            os.close(descriptor)


_BINARY = getattr(os, "O_BINARY", 0)


def _held_temporary(path: Path, *, folder: bool = False) -> tuple[Path, int | None]:
    """A new temporary beside ``path``, and a descriptor by which this process holds it.

    A sweeper may take it away before it is held: then another one is made. A folder has no
    descriptor on Windows.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            descriptor = _new_folder(temporary) if folder else _new_file(temporary)
        except FileNotFoundError:
            if folder and path.parent.is_dir():
                continue
            raise
        if descriptor is None:
            return temporary, None
        if hold(descriptor) is not False and is_named(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)


def _new_folder(path: Path) -> int | None:
    path.mkdir()
    return None if _ON_WINDOWS else os.open(path, os.O_RDONLY)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of it: a disk may take less at a time than it is given."""
    rest = memoryview(data)
    while rest:
        taken = os.write(descriptor, rest)
        if taken <= 0:
            raise OSError(errno.EIO, "the disk takes no more of a file")
        rest = rest[taken:]


def _remove_file(temporary: Path) -> None:
    """What cannot be removed now is swept later."""
    with contextlib.suppress(OSError):
        temporary.unlink()


def _sync_below(folder: Path) -> None:
    """Make durable what a folder holds, and the names in it."""
    for child in folder.iterdir():
        if child.is_dir():
            _sync_below(child)
        elif child.is_file():
            _sync(child)
    sync_folder(folder)


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
    descriptor = os.open(file, os.O_RDWR | _BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where the system allows to sync folders at all.

    Raises OSError where it allows to and the disk fails.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
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
