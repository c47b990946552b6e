"""Errors that a user can act on: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input. The command line prints its text, without a traceback, and exits with 2."""


def unknown(kind: str, name: str, valid: Iterable[str], hint: str) -> UserError:
    """An error for a name that does not exist: the name, the nearest valid one, how to list all.

    ``hint`` names the command or the names that are valid, e.g. ``"winnow recipes lists them"``.
    """
    names = list(valid)
    begun = [one for one in names if name and one.startswith(name)]
    nearest = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    meant = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(f"unknown {kind} {name!r}.{meant} {hint}.")
