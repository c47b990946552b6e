"""What killed processes left in a store: temporaries, locks, checkpoints of finished runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from winnow.experiment.runs import Record
from winnow.experiment.store.store import Store, read_found
from winnow.files import remove, sweep
from winnow.locks import lock_if_free, sweep_locks

_WHOLE = ("runs", "analyses", "damaged")
"""Folders whose children are whole: nothing is written into them any more."""


def sweep_store(store: Store) -> None:
    """Remove what nobody writes, holds or needs any more; what others work on stays.

    What cannot be removed stays too: it is in nobody's way.
    """
    for folder in _folders(store.path):
        sweep(folder)
    for checkpoint in sorted((store.path / "checkpoints").glob("[!.]*.safetensors")):
        with contextlib.suppress(OSError):
            _sweep_checkpoint(store, checkpoint)
    sweep_locks(store.path / "locks")


def _folders(path: Path) -> Iterator[Path]:
    yield path
    with contextlib.suppress(OSError):
        for child in sorted(path.iterdir()):
            if child.is_symlink() or child.name.startswith(".") or not child.is_dir():
                continue
            yield from [child] if child.name in _WHOLE else _folders(child)


def _sweep_checkpoint(store: Store, checkpoint: Path) -> None:
    """Remove the checkpoint of a run that is finished: its writer was killed just then."""
    identity = checkpoint.name.split(".")[0]  # of an addition, too
    finished = sorted((store.path / "runs").glob(f"*-{identity[:12]}*"))
    if not finished or not (store.path / "locks").is_dir():
        return
    with lock_if_free(store.lock_file(identity)) as free:
        if free and any(_covers(folder, identity, checkpoint) for folder in finished):
            remove(checkpoint)


def _covers(folder: Path, identity: str, checkpoint: Path) -> bool:
    """Whether a finished run has all that its checkpoint is on the way to record."""
    from winnow.mask import from_bytes

    try:
        found = read_found(folder, identity)
        _, about = from_bytes("checkpoint", checkpoint.read_bytes(), str(checkpoint))
        return found.record.covers(Record.load(about["record"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
