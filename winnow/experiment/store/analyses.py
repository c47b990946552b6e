"""Finished analyses in a store: one folder for each, whole or absent, verified when read.

STORE/analyses/NAME-HASH12/analysis.json   identity (verified against the hash), rows, provenance
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from winnow.digest import sealed_json, unsealed_json
from winnow.experiment.analyses import Analysis
from winnow.experiment.store.store import Store
from winnow.files import make_folder, sweep, whole_folder, write_new
from winnow.locks import lock_if_free

_KEYS = ("id", "analysis", "rows", "rows_sha256", "provenance")  # of before digests
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
AnalysisRows = Sequence[Mapping[str, Any]]


def find_analysis(store: Store, name: str, identity: str) -> AnalysisRows | None:
    """The rows of a stored analysis, by its folder's name and its identity; None without one.

    A folder that cannot be read, or is not what its name says, is reported, and set aside unless
    the store is only read.
    """
    folder = _folder(store, name)
    if not folder.exists():
        return None
    try:
        return _read(folder, identity)
    except _UNREADABLE as error:
        store.set_aside(folder, str(error))
        return None


def write_analysis(store: Store, analysis: Analysis, rows: AnalysisRows, about: Any) -> None:
    """Store a finished analysis as a whole folder. Never replaces one. Raises LostStoreError."""
    store.check_there()
    text = json.dumps(list(rows), sort_keys=True, separators=(",", ":"), allow_nan=False)
    whole = {
        "id": analysis.id,
        "analysis": asdict(analysis),
        "rows": json.loads(text),
        "rows_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "provenance": about,
    }
    with whole_folder(_folder(store, analysis.folder)) as folder:
        write_new(folder / "analysis.json", sealed_json(whole, sort_keys=True))


@contextlib.contextmanager
def analysis_lock(store: Store, analysis: Analysis) -> Iterator[bool]:
    """Try to take the right to make an analysis; gives whether it was free."""
    store.check_there()
    make_folder(store.path / "locks")
    with lock_if_free(store.lock_file(analysis.id)) as free:
        if free:
            sweep(store.path / "analyses", analysis.folder)
        yield free


def check_analysis(folder: Path) -> None:
    """Raises what `_UNREADABLE` has unless a folder holds the analysis that its name says."""
    plain, _ = unsealed_json((folder / "analysis.json").read_bytes(), _KEYS)
    if folder.name != Analysis.load(plain["analysis"]).folder:
        raise ValueError("it is not what the name of its folder says")
    _read(folder, plain["id"])


def _folder(store: Store, name: str) -> Path:
    return store.path / "analyses" / name


def _read(folder: Path, identity: str) -> AnalysisRows:
    plain, _ = unsealed_json((folder / "analysis.json").read_bytes(), _KEYS)
    if identity != plain["id"] or Analysis.load(plain["analysis"]).id != identity:
        raise ValueError("analysis.json does not hash to the identity it states")
    text = json.dumps(plain["rows"], sort_keys=True, separators=(",", ":"), allow_nan=False)
    if hashlib.sha256(text.encode()).hexdigest() != plain["rows_sha256"]:
        raise ValueError("the rows of analysis.json are not those that were written")
    rows: AnalysisRows = plain["rows"]
    return rows
