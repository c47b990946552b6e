"""winnow check: every byte of a store read, what is damaged named and set aside."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from winnow.digest import unsealed_json
from winnow.engine.calibration import check_calibration
from winnow.errors import UserError
from winnow.experiment.expected import FormatError
from winnow.experiment.store.additions import read_addition
from winnow.experiment.store.analyses import check_analysis
from winnow.experiment.store.experiments import check_experiment
from winnow.experiment.store.format import FORMAT, is_store, read_format, store_file, write_format
from winnow.experiment.store.images import read_source
from winnow.experiment.store.store import UNREADABLE, Found, Store, read_found
from winnow.experiment.store.tickets import mask_hash
from winnow.experiment.store.weights import content_hash_of
from winnow.experiment.train.checkpoint import check_checkpoint
from winnow.files import cache_folder
from winnow.mask import Mask
from winnow.statefile import read_state
from winnow.tablefile import unsealed_table


@dataclass
class Checked:
    """What a check found: how many of each kind were read, and of runs how many have no digest;
    what was damaged, in words.
    """

    read: Counter[str] = field(default_factory=Counter)
    without_digest: int = 0
    damaged: list[str] = field(default_factory=list)


class _Kind(NamedTuple):
    """A kind of thing in a store: its name, where it lies, and what reads it: False without a
    digest. It raises what `UNREADABLE` has, or LookupError, for a damaged one.
    """

    name: str
    places: str
    verify: Callable[[Path], bool]


def check_store(path: Path, *, read_data: bool = False) -> Checked:
    """Read every byte of a store and set aside what is damaged, which is then made again.

    Each is named on standard error. ``store.json`` is made anew. ``read_data``: decodes each state
    too, and reads the decoded images that this machine keeps. Raises UserError: there is no store,
    or one of a newer Winnow.
    """
    if not path.is_dir():
        raise UserError(f"there is no store {path}: name one with --store DIR")
    store, checked = Store(path), Checked()
    _check_format(store, checked)
    for kind in _kinds(read_data):
        for place in sorted(store.path.glob(kind.places)):
            _check(store, kind, place, checked)
    if read_data:
        _check_images(checked)
    return checked


def _check_format(store: Store, checked: Checked) -> None:
    found = read_format(store.path)
    if found.number is not None and found.number > FORMAT:
        raise UserError(
            f"the store {store.path} has format {found.number}, written by a newer Winnow, and "
            f"this one knows up to {FORMAT}: update Winnow"
        )
    if found.number is not None:
        return
    damage = found.damage or "it is missing"
    if not is_store(store.path, store.reads_some):
        raise UserError(f"{store_file(store.path)}: {damage}: is {store.path} a store?")
    try:
        write_format(store.path)
        told = "It was made anew"
    except OSError as error:
        told = f"It stays as it is ({error.strerror})"
    checked.damaged.append(f"{store_file(store.path)}: {damage}. {told}")


def _check(store: Store, kind: _Kind, place: Path, checked: Checked) -> None:
    """Read one thing; twice before it is set aside: another process may replace it."""
    checked.read[kind.name] += 1
    for last in (False, True):
        try:
            if not kind.verify(place):
                checked.without_digest += 1
        except FormatError:  # of another version, and whole
            return
        except (*UNREADABLE, LookupError) as error:
            if not place.exists():  # another process has removed it
                return
            if last:
                checked.damaged.append(store.moved_aside(place, _said(error)))
        else:
            return


def _said(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _kinds(decode: bool) -> Iterator[_Kind]:
    yield _Kind("additions", "runs/[!.]*/added-*", lambda folder: _addition(folder, decode))
    yield _Kind("runs", "runs/[!.]*", lambda folder: _run(folder, decode))
    yield _Kind("checkpoints", "checkpoints/[!.]*.safetensors", _whole(check_checkpoint))
    yield _Kind("analyses", "analyses/[!.]*", _whole(check_analysis))
    yield _Kind("experiments", "experiments/[!.]*", _whole(check_experiment))
    yield _Kind("given files", "weights/[!.]*.safetensors", _whole(_given))
    yield _Kind("notes of images", "sources/[!.]*.json", _whole(read_source))
    yield _Kind("calibrations", "calibration/[!.]*.json", _whole(check_calibration))
    yield _Kind("copied recipes", "recipes/[!.]*.yaml", _whole(_named_by_hash))
    yield _Kind("copied networks", "own/[!.]*.py", _whole(_named_by_hash))
    yield _Kind("tables", "reports/*/rows.parquet", _whole(_table))


def _whole(verify: Callable[[Path], object]) -> Callable[[Path], bool]:
    """As a kind verifies: what is read, with or without a digest, is as it should be."""

    def verified(path: Path) -> bool:
        verify(path)
        return True

    return verified


def _run(folder: Path, decode: bool) -> bool:
    found = read_found(folder, None)
    if not re.fullmatch(rf"{re.escape(found.run.folder)}(\.\d+)?", folder.name):
        raise ValueError(f"it holds the run {found.run.folder}, which its name does not say")
    _check_states(found, found.result.files, decode)
    return found.digest is not None


def _addition(folder: Path, decode: bool) -> bool:
    """What was recorded of a run later, apart from the run; that one is checked by itself."""
    try:
        run = read_found(folder.parent, None)
    except UNREADABLE:
        return True
    addition = read_addition(folder, run.run.id)
    names = [f"{folder.name}/{name}" for name in addition.files]
    _check_states(run.with_addition(folder, addition), names, decode)
    return True


def _check_states(found: Found, names: Iterable[str], decode: bool) -> None:
    for name in names:
        data = found.verified(name)
        if decode:
            read_state(data, name)


def _given(file: Path) -> None:
    """A mask or weights that a recipe gave by a file, named by their hash."""
    name = file.name.removesuffix(".safetensors")
    if name.endswith(".mask"):
        made = f"{mask_hash(Mask.load(file))}.mask"
    else:
        made = content_hash_of(read_state(file.read_bytes(), str(file)))
    if made != name:
        raise ValueError("it is not what its name says")


def _named_by_hash(file: Path) -> None:
    hashed = hashlib.sha256(file.read_bytes()).hexdigest()
    if not hashed.startswith(file.stem.rpartition("-")[2]):
        raise ValueError("it is not what its name says")


def _table(file: Path) -> None:
    try:
        unsealed_table(file.read_bytes())
    except ImportError:  # without pyarrow nobody reads it here
        return


def _check_images(checked: Checked) -> None:
    from winnow.data.cache import damage_of, set_aside_cached

    folder = cache_folder() / "data"
    for file in sorted(folder.glob("[!.]*.safetensors")):
        checked.read["sets of images"] += 1
        if why := damage_of(file):
            checked.damaged.append(set_aside_cached(file, why))
    for note in sorted(folder.glob("[!.]*.json")):
        try:
            unsealed_json(note.read_bytes(), ("key", "content"))
        except (OSError, ValueError) as error:
            checked.damaged.append(set_aside_cached(note, str(error)))
