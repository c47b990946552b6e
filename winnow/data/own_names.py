"""How data of one's own is named in recipes. Imports no torch."""

from __future__ import annotations

import os

KEPT = "content:"
"""Before the hash of arrays that are kept in the cache."""

FILES = "?files="
"""In a key, between a folder and the size of the squares that its images are read as."""


def is_function(name: str) -> bool:
    """Whether a name is that of a function, ``module:function`` or ``file.py:function``."""
    return name.rpartition(":")[2].isidentifier() and ":" in name and not name.startswith(KEPT)


def is_folder(name: str) -> bool:
    """Whether a name is that of a folder: it has a slash, or begins with a dot or a tilde."""
    separators = "/" in name or os.sep in name or name.startswith((".", "~"))
    return separators and not is_function(name) and not name.startswith(KEPT)


def is_own_data(name: str) -> bool:
    """Whether a name, or a key, is that of data outside Winnow."""
    return name.startswith(KEPT) or is_function(name) or is_folder(name)
