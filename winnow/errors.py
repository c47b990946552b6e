"""Errors that a user can act on: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 200  # characters of a user's value that a message repeats


class UserError(ValueError):
    """Bad input. The command line prints its text, without a traceback, and exits with 2."""


class OptionWarning(UserWarning):
    """An option of a recipe has no effect, or one that nobody can mean: what happens."""


class NeedsConfirmingError(UserError):
    """What is asked for is very large. It begins where the user says so: ``--yes`` on a command
    line, ``confirm=True`` in Python.
    """


def unknown(kind: str, name: str, valid: Iterable[str], hint: str) -> UserError:
    """An error for a name that does not exist: the name, the nearest valid one, how to list all.

    ``hint`` names the command or the names that are valid, e.g. ``"winnow recipes lists them"``.
    """
    names, name = list(valid), name[:_LONGEST]
    begun = [one for one in names if name and one.startswith(name)]
    nearest = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    meant = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(f"unknown {kind} {name!r}.{meant} {hint}.")


def repeated(value: object) -> str:
    """A user's value as messages repeat it: as Python writes it, its beginning where that is long;
    of a number of thousands of digits, which Python does not write, how many they are.
    """
    if isinstance(value, int) and value.bit_length() > 4 * _LONGEST:
        return f"a number of about {int(value.bit_length() * 0.30103) + 1} digits"
    try:
        text = repr(value)
    except ValueError:  # such a number is somewhere in it
        text = f"a {type(value).__name__} with a number of thousands of digits"
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}…"
