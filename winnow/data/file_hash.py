"""The bytes of a file of data, or their hash, or an error that names it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from winnow.data.decode import reason
from winnow.errors import UserError
from winnow.files import open_regular


def file_hash(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes. UserError: it cannot be read, or is no regular file."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def file_bytes(path: Path) -> tuple[bytes, str]:
    """A file's bytes and their hash: of what was read, whatever happens to the file meanwhile.

    UserError: it cannot be read, or is no regular file.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    return data, hashlib.sha256(data).hexdigest()


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read ({reason(error)}); check its permissions")
