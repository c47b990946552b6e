"""``store.json``: which layout a store has; read, written, and made anew where it is damaged.

1: runs, experiments and states without a digest. 2: every file has one; runs of before stay as
they are. A Winnow that knows 1 alone would take files with a digest for damaged ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from winnow.digest import sealed_json, unsealed_json
from winnow.errors import UserError
from winnow.files import write_whole

FORMAT = 2
_UNSEALED = 1  # what store.json said before it had a digest
_FIRST_LONG = 10  # a number of two digits is no damaged 1
FOLDERS = ("runs", "checkpoints", "locks")


class FoundFormat(NamedTuple):
    """What ``store.json`` says: its number; None, and what is wrong with it, for a damaged one.
    Without a file: None, and no damage.
    """

    number: int | None
    damage: str | None = None


def store_file(store: Path) -> Path:
    """Where a store keeps its format."""
    return store / "store.json"


def read_format(store: Path) -> FoundFormat:
    """The format of a store. UserError where ``store.json`` cannot be read at all."""
    file = store_file(store)
    try:
        plain, digest = unsealed_json(file.read_bytes(), ("format",))
        number = plain["format"]
    except (FileNotFoundError, NotADirectoryError):
        return FoundFormat(None)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError) as error:
        return FoundFormat(None, f"{error.args[0] if error.args else error}")
    if type(number) is not int or number < _UNSEALED:
        return FoundFormat(None, f"there is no format {number!r}")
    if digest is None and _UNSEALED < number < _FIRST_LONG:
        return FoundFormat(None, f"format {number} has a digest, and this has none")
    return FoundFormat(number)


def is_to_be_written(store: Path, *, write: bool, readable: Callable[[], bool]) -> bool:
    """Whether ``store.json`` says less than it should: it is missing, damaged or old.

    Damage is reported. ``write``: whether the caller then writes it. ``readable``: whether some
    run of the store can be read. Raises UserError: of a newer Winnow, or the folder is no store.
    """
    found = read_format(store)
    if found.number is not None and found.number > FORMAT:
        raise UserError(
            f"the store {store} has format {found.number}, written by a newer Winnow; this one "
            f"reads up to {FORMAT}. Update Winnow, or choose another store with --store DIR"
        )
    damage = found.damage
    if damage is not None and not is_store(store, readable):
        raise UserError(f"{store_file(store)} cannot be read ({damage}): is {store} a store?")
    if found == FoundFormat(None) and _has_runs(store):
        damage = "it is missing"
    if damage is not None:
        told = "It is made anew" if write else "`winnow check` makes it anew"
        print(f"damaged: {store_file(store)}: {damage}. {told}", file=sys.stderr)
    return found.number != FORMAT


def write_format(store: Path) -> None:
    """Write ``store.json``, whole. Raises OSError."""
    write_whole(store_file(store), sealed_json({"format": FORMAT}))


def is_store(store: Path, readable: Callable[[], bool]) -> bool:
    """Whether a folder without a readable ``store.json`` is a store that this Winnow reads.

    It has the folders that every store has, and of its runs at least one can be read, if there are
    any: those of a newer Winnow could not.
    """
    shaped = all((store / name).is_dir() for name in FOLDERS)
    return shaped and (not _has_runs(store) or readable())


def _has_runs(store: Path) -> bool:
    return any((store / "runs").glob("[!.]*"))
