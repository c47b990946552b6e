"""The store: one folder for each finished run, whole or absent, checked when read.

STORE/store.json                      format (winnow.experiment.store.format)
STORE/runs/NAME-HASH12/run.json       identity (verified against the hash), provenance, digest
                      /result.json    curve, numbers, hashes of the files beside it
                      /*.safetensors  states: final, at rewinding steps
                      /added-N/       what was recorded of it later (`store.additions`)
STORE/experiments/NAME-HASH12/        experiment.json: the runs and arms of an experiment
STORE/checkpoints/HASH.safetensors    unfinished runs
STORE/calibration/KEY.json            what engines cost on a machine (winnow.engine.calibration)
STORE/weights/HASH.safetensors        trained weights that recipes give
STORE/recipes/, own/                  recipes and networks given as Python objects
STORE/locks/HASH.lock                 who trains it now (winnow.locks)
STORE/damaged/                        what could not be read, set aside
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.digest import read_json, sealed_json, unsealed_json
from winnow.errors import UserError
from winnow.experiment.runs import Record, Run, load_run, plain_fields
from winnow.experiment.store.additions import Addition, damaged_additions, read_additions
from winnow.experiment.store.format import FOLDERS, is_to_be_written, write_format
from winnow.files import make_folder, remove, rename_durably, sweep, whole_folder, write_new
from winnow.locks import lock_if_free

if TYPE_CHECKING:
    from winnow.state import State

_RUN_KEYS = ("id", "run", "record", "provenance", "result")  # of run.json before it had a digest
_GAP = 4  # copies of one run in a row that can be set aside without hiding those after them
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError)
"""What reading a damaged run raises."""


@dataclass(frozen=True)
class Result:
    """What a run gave.

    ``status``: ``done`` or ``diverged`` (then at iteration ``diverged_at``). ``curve``: ``steps``,
    ``validation_loss``, ``validation_accuracy``, ``test_accuracy``, ``test_loss`` and
    ``training_loss`` (the mean loss of the updates since the last of ``steps``), equally long
    lists, empty or missing if not recorded. ``stop`` and ``final``: accuracies by split at the
    minimum of validation loss (``stop_iteration``) and at the end, of training images those of a
    sample as ``train_sample`` or of all as ``train``; ``stop_loss`` and
    ``final_loss``: mean cross-entropy there, empty in results of a Winnow that did not keep it.
    ``accuracy_at`` and ``validation_at``: test and validation accuracy by iteration. Accuracies
    are fractions; null where there is none.
    """

    status: str
    diverged_at: int | None
    curve: Mapping[str, list[Any]]
    stop_iteration: int | None
    stop_censored: bool | None
    stop_validation_loss: float | None
    stop: Mapping[str, float]
    final: Mapping[str, float]
    accuracy_at: Mapping[str, float]
    kept: Mapping[str, int]
    seconds: float
    files: Mapping[str, str] = field(default_factory=dict)
    stop_loss: Mapping[str, float | None] = field(default_factory=dict)
    final_loss: Mapping[str, float | None] = field(default_factory=dict)
    validation_at: Mapping[str, float] = field(default_factory=dict)


class LostStoreError(OSError):
    """A store, or what was finished in it, went away while a command worked with it."""

    def __init__(self, path: Path, what: str) -> None:
        told = f"{what}: it was deleted or moved while this command ran. Run the command again"
        super().__init__(errno.ENOENT, told, str(path))


class Store:
    """A folder of finished runs.

    ``read_only``: nothing is ever written into it or moved; what is damaged is only named.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._named: set[Path] = set()  # what a reader has said to be damaged

    def open(self, *, write: bool = True) -> Store:
        """Check the format and, to write, that the folder takes files.

        Raises UserError: the store is newer than this Winnow, damaged, read-only or full.
        """
        self.read_only = not write
        stale = is_to_be_written(self.path, write=write, readable=self.reads_some)
        if write:
            try:
                self._probe()
                if stale:
                    write_format(self.path)
            except OSError as error:
                raise UserError(
                    f"the store {self.path} cannot be written: {error.strerror or error}. "
                    "Make room or permit writing, or choose another with --store DIR"
                ) from None
        return self

    def _probe(self) -> None:
        make_folder(self.path)
        probe = self.path / f".probe.{uuid.uuid4().hex}.tmp"
        try:
            write_new(probe, b"x" * 65536)
        finally:
            remove(probe)
        for folder in FOLDERS:
            make_folder(self.path / folder)

    def find(self, run: Run, record: Record | None = None) -> Found | None:
        """The stored run, with at least what ``record`` asks for; None if there is none.

        A folder that cannot be read, or is not what its name says, is reported, and set aside
        unless the store is only read.
        """
        return self.find_named(run.folder, run.id, record)

    def find_named(self, name: str, identity: str, record: Record | None = None) -> Found | None:
        """As `find`, by the name of the run's folder and its identity."""
        for folder in self._folders(name):
            found = self._read(folder, identity)
            if found and (record is None or found.record.covers(record)):
                return found
        return None

    def copies(self, run: Run) -> list[Found]:
        """The stored copies of a run: one, or more where another machine had to train it again."""
        found = [self._read(folder, run.id) for folder in self._folders(run.folder)]
        return [one for one in found if one]

    def _folders(self, name: str) -> Iterator[Path]:
        """The folders that a run can have: a run recorded again, with more, gets a number."""
        missed = 0  # what is set aside leaves a gap
        for folder in self._numbered(name):
            if folder.exists():
                missed = 0
                yield folder
            elif (missed := missed + 1) > _GAP:
                return

    def _numbered(self, name: str) -> Iterator[Path]:
        folder = self.path / "runs" / name
        yield folder
        yield from (folder.with_name(f"{name}.{number}") for number in itertools.count(2))

    def _read(self, folder: Path, identity: str) -> Found | None:
        try:
            return read_found(folder, identity)
        except UNREADABLE as error:
            self.set_aside(folder, str(error))
            return None

    def set_aside(self, path: Path, why: str) -> None:
        """Move what is damaged to ``damaged/`` and say so on standard error; only say so, and once,
        where the store is only read.
        """
        if not self.read_only:
            print(f"damaged: {self.moved_aside(path, why)}", file=sys.stderr)
        elif path not in self._named:
            self._named.add(path)
            print(f"damaged: {path}: {why}. A run that needs it makes it again", file=sys.stderr)

    def moved_aside(self, path: Path, why: str) -> str:
        """Move what is damaged to ``damaged/``; what is to be said of it."""
        target = self.path / "damaged" / f"{path.name}-{uuid.uuid4().hex[:6]}"
        told = f"Set aside as {target}; it is made again"
        try:
            make_folder(target.parent)
            rename_durably(path, target)
        except FileNotFoundError:
            told = "Another process has moved it"
        except OSError as error:  # a store that can only be read
            told = f"It stays where it is ({error.strerror})"
        return f"{path}: {why}. {told}"

    def write(
        self, run: Run, record: Record, result: Result, files: Mapping[str, bytes], about: Any
    ) -> None:
        """Store a finished run as a whole folder. Never replaces one.

        Raises LostStoreError, OSError.
        """
        self.check_there()
        target = next(one for one in self._numbered(run.folder) if not one.exists())
        hashes = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        numbers = _json({**plain_fields(result), "files": hashes}).encode()
        identity = {
            "id": run.id,
            "run": plain_fields(run),
            "record": record.dump(),
            "provenance": about,
            "result": hashlib.sha256(numbers).hexdigest(),
        }
        with whole_folder(target) as folder:
            for file, data in files.items():
                write_new(folder / file, data)
            write_new(folder / "run.json", sealed_json(identity, sort_keys=True))
            write_new(folder / "result.json", numbers)
        remove(self.checkpoint(run))

    def check_there(self) -> None:
        """LostStoreError for a store that `open` made and that is gone: it is not made again."""
        if not (self.path / "runs").is_dir():
            raise LostStoreError(self.path, "the store is gone")

    def checkpoint(self, run: Run) -> Path:
        """Where an unfinished run keeps its checkpoint."""
        return self.path / "checkpoints" / f"{run.id}.safetensors"

    def added_checkpoint(self, run: Run) -> Path:
        """Where an unfinished addition to a finished run keeps its checkpoint."""
        return self.path / "checkpoints" / f"{run.id}.added.safetensors"

    @contextlib.contextmanager
    def lock(self, run: Run) -> Iterator[bool]:
        """Try to take the right to train a run; gives whether it was free.

        The system gives it back when its holder dies; what a killed one left half written goes.
        """
        self.check_there()
        make_folder(self.path / "locks")
        with lock_if_free(self.lock_file(run.id)) as free:
            if free:
                sweep(self.path / "runs", run.folder)
                for copy in (self.path / "runs").glob(f"{run.folder}*"):
                    sweep(copy, "added-")
                sweep(self.path / "checkpoints", run.id)
            yield free

    def lock_file(self, identity: str) -> Path:
        """The lock of a run or an analysis: `winnow.locks.holder_of` says who has it."""
        return self.path / "locks" / f"{identity}.lock"

    def clear_additions(self, found: Found) -> None:
        """Set aside what was added to a run and cannot be read."""
        for folder, why in damaged_additions(found.folder, found.run.id):
            self.set_aside(folder, why)

    def all(self) -> list[Found]:
        """Every readable run, by folder name."""
        folders = sorted(p for p in (self.path / "runs").glob("[!.]*") if p.is_dir())
        return [found for folder in folders if (found := self._read_any(folder))]

    def _read_any(self, folder: Path) -> Found | None:
        try:
            return read_found(folder, None)
        except UNREADABLE:
            return None

    def reads_some(self) -> bool:
        """Whether any run can be read."""
        return any(map(self._read_any, sorted((self.path / "runs").glob("[!.]*"))))


class DamagedStateError(ValueError):
    """A state's file is damaged. ``folder``: of the run, or of the addition, that it is in."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(why)
        self.folder = folder


@dataclass(frozen=True)
class Found:
    """A run as it is stored, with all that was added to it.

    ``digest``: of ``run.json``, which holds that of ``result.json``, which holds those of all
    states; None for a run of before digests, whose provenance and record nothing vouches for.
    """

    folder: Path
    run: Run
    record: Record
    result: Result
    provenance: Mapping[str, Any]
    digest: str | None = None

    def state(self, which: str) -> State:
        """The state ``final`` or ``step-N``. Raises DamagedStateError when its file is damaged."""
        from winnow.statefile import read_state

        name = self._file(which)
        return read_state(self.verified(name), str(self.folder / name))

    def verified(self, name: str) -> bytes:
        """A state's file, by its place in the folder.

        Raises DamagedStateError unless it is what was written.
        """
        file = self.folder / name
        try:
            data = file.read_bytes()
        except OSError as error:
            raise DamagedStateError(file.parent, f"{file} cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != self.result.files.get(name):
            why = f"{file} is damaged: its hash is not the stored one"
            raise DamagedStateError(file.parent, why)
        return data

    def has_state(self, which: str) -> bool:
        """Whether the state is stored."""
        return self._file(which) in self.result.files

    @property
    def stored_steps(self) -> tuple[int, ...]:
        """The iterations whose states are stored."""
        names = (Path(name).stem for name in self.result.files)
        found = {name.removeprefix("step-") for name in names if name.startswith("step-")}
        return tuple(sorted(map(int, found)))

    def _file(self, which: str) -> str:
        """The state's file within the folder."""
        name = f"{which}.safetensors"
        added = (file for file in self.result.files if file.endswith(f"/{name}"))
        return name if name in self.result.files else next(added, name)

    def with_addition(self, folder: Path, addition: Addition) -> Found:
        """The run with what was recorded later."""
        result = self.result
        files = {f"{folder.name}/{name}": value for name, value in addition.files.items()}
        merged = replace(
            result,
            curve={**result.curve, **addition.curve},
            stop={**result.stop, **addition.stop},
            final={**result.final, **addition.final},
            accuracy_at={**result.accuracy_at, **addition.accuracy_at},
            validation_at={**result.validation_at, **addition.validation_at},
            stop_loss={**result.stop_loss, **addition.stop_loss},
            final_loss={**result.final_loss, **addition.final_loss},
            files={**result.files, **files},
        )
        return replace(self, record=self.record | addition.record, result=merged)


def read_found(folder: Path, identity: str | None) -> Found:
    """Read and verify a run's folder: its digest, its hash, and that its files are there.

    Raises ValueError (or KeyError, TypeError, AttributeError, ArithmeticError, OSError) saying
    what is wrong.
    """
    try:
        about, digest = unsealed_json((folder / "run.json").read_bytes(), _RUN_KEYS)
    except ValueError as error:
        raise ValueError(f"run.json: {error}") from None
    run = load_run(about["run"])
    if run.id != about["id"] or identity not in (None, run.id):
        raise ValueError("run.json does not hash to the identity it states")
    numbers = (folder / "result.json").read_bytes()
    if hashlib.sha256(numbers).hexdigest() != about["result"]:
        raise ValueError("result.json is not what run.json says of it")
    plain = read_json(numbers)
    for name in plain["files"]:
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
    record = Record.load(about["record"])
    found = Found(folder, run, record, Result(**plain), about["provenance"], digest)
    for place, addition in read_additions(folder, run.id):
        found = found.with_addition(place, addition)
    return found


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
