"""The hash of a file of data, or an error that names it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from winnow.data.decode import reason
from winnow.errors import UserError


def file_hash(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes. UserError: it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({reason(error)}); check its permissions"
        ) from error
