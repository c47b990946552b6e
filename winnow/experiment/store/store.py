"""The store: one folder for each finished run, whole or absent, checked when read.

STORE/store.json                      format
STORE/runs/NAME-HASH12/run.json       identity (verified against the hash), provenance
                      /result.json    curve, numbers, hashes of the files beside it
                      /*.safetensors  states: final, at rewinding steps
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
import functools
import hashlib
import json
import operator
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.errors import UserError
from winnow.experiment.runs import Record, Run, load_run, plain_fields
from winnow.files import (
    make_folder,
    remove,
    rename_durably,
    sweep,
    whole_folder,
    write_new,
    write_whole,
)
from winnow.locks import lock_if_free

if TYPE_CHECKING:
    from winnow.state import State

FORMAT = 1


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
        self._check_format()
        if write:
            try:
                self._probe()
            except OSError as error:
                raise UserError(
                    f"the store {self.path} cannot be written: {error.strerror or error}. "
                    "Make room or permit writing, or choose another with --store DIR"
                ) from None
        return self

    def _check_format(self) -> None:
        file = self.path / "store.json"
        try:
            found = json.loads(file.read_text("utf-8"))["format"]
        except (FileNotFoundError, NotADirectoryError):
            return  # a new store; whether it can be made is seen when it is
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} cannot be read ({error}): is {self.path} a store?") from None
        if not isinstance(found, int) or found > FORMAT:
            raise UserError(
                f"the store {self.path} has format {found}, written by a newer Winnow; this one "
                f"reads up to {FORMAT}. Update Winnow, or choose another store with --store DIR"
            )

    def _probe(self) -> None:
        make_folder(self.path)
        probe = self.path / f".probe.{uuid.uuid4().hex}.tmp"
        try:
            write_new(probe, b"x" * 65536)
        finally:
            remove(probe)
        for folder in ("runs", "checkpoints", "locks"):
            make_folder(self.path / folder)
        if not (self.path / "store.json").exists():
            write_whole(self.path / "store.json", json.dumps({"format": FORMAT}) + "\n")

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

    def recorded(self, run: Run) -> Record:
        """All that any stored copy of a run records; an empty record without one."""
        found = [self._read(folder, run.id) for folder in self._folders(run.folder)]
        return functools.reduce(operator.or_, (f.record for f in found if f), Record())

    def _folders(self, name: str) -> Iterator[Path]:
        """The folders that a run can have: a run recorded again, with more, gets a number."""
        folder, number = self.path / "runs" / name, 1
        while folder.exists():
            yield folder
            number += 1
            folder = folder.with_name(f"{name}.{number}")

    def _read(self, folder: Path, identity: str) -> Found | None:
        try:
            return read_found(folder, identity)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.set_aside(folder, str(error))
            return None

    def set_aside(self, path: Path, why: str) -> None:
        """Move what is damaged to ``damaged/`` and say so on standard error; only say so, and once,
        where the store is only read.
        """
        if self.read_only:
            if path not in self._named:
                self._named.add(path)
                print(
                    f"damaged: {path}: {why}. A run that needs it makes it again", file=sys.stderr
                )
            return
        target = self.path / "damaged" / f"{path.name}-{uuid.uuid4().hex[:6]}"
        told = f"Set aside as {target}; it is made again"
        try:
            make_folder(target.parent)
            rename_durably(path, target)
        except FileNotFoundError:  # another process was quicker
            return
        except OSError as error:  # a store that can only be read
            told = f"It stays where it is ({error.strerror})"
        print(f"damaged: {path}: {why}. {told}", file=sys.stderr)

    def write(
        self, run: Run, record: Record, result: Result, files: Mapping[str, bytes], about: Any
    ) -> None:
        """Store a finished run as a whole folder. Never replaces one.

        Raises LostStoreError, OSError.
        """
        self.check_there()
        taken = len(list(self._folders(run.folder)))
        name = run.folder if taken == 0 else f"{run.folder}.{taken + 1}"
        hashes = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        numbers = _json({**plain_fields(result), "files": hashes}).encode()
        identity = {
            "id": run.id,
            "run": plain_fields(run),
            "record": record.dump(),
            "provenance": about,
            "result": hashlib.sha256(numbers).hexdigest(),
        }
        with whole_folder(self.path / "runs" / name) as folder:
            for file, data in files.items():
                write_new(folder / file, data)
            write_new(folder / "run.json", _json(identity))
            write_new(folder / "result.json", numbers)
        remove(self.checkpoint(run))

    def check_there(self) -> None:
        """LostStoreError for a store that `open` made and that is gone: it is not made again."""
        if not (self.path / "runs").is_dir():
            raise LostStoreError(self.path, "the store is gone")

    def checkpoint(self, run: Run) -> Path:
        """Where an unfinished run keeps its checkpoint."""
        return self.path / "checkpoints" / f"{run.id}.safetensors"

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
                sweep(self.path / "checkpoints", run.id)
            yield free

    def lock_file(self, identity: str) -> Path:
        """The lock of a run or an analysis: `winnow.locks.holder_of` says who has it."""
        return self.path / "locks" / f"{identity}.lock"

    def all(self) -> list[Found]:
        """Every readable run, by folder name."""
        folders = sorted(p for p in (self.path / "runs").glob("[!.]*") if p.is_dir())
        return [found for folder in folders if (found := self._read_any(folder))]

    def _read_any(self, folder: Path) -> Found | None:
        try:
            return read_found(folder, None)
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Found:
    """A run as it is stored."""

    folder: Path
    run: Run
    record: Record
    result: Result
    provenance: Mapping[str, Any]

    def state(self, which: str) -> State:
        """The state ``final`` or ``step-N``. Raises ValueError when its file is damaged."""
        from winnow.mask import from_bytes
        from winnow.statefile import unpack_state

        name = f"{which}.safetensors"
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise ValueError(f"{self.folder / name} cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != self.result.files.get(name):
            raise ValueError(f"{self.folder / name} is damaged: its hash is not the stored one")
        return unpack_state(*from_bytes("state", data, str(self.folder / name)))


def read_found(folder: Path, identity: str | None) -> Found:
    """Read and verify a run's folder: its hash, and that its files are there.

    Raises ValueError (or KeyError, TypeError, OSError) saying what is wrong.
    """
    about = json.loads((folder / "run.json").read_text("utf-8"))
    run = load_run(about["run"])
    if run.id != about["id"] or identity not in (None, run.id):
        raise ValueError("run.json does not hash to the identity it states")
    numbers = (folder / "result.json").read_bytes()
    if hashlib.sha256(numbers).hexdigest() != about["result"]:
        raise ValueError("result.json is not what run.json says of it")
    plain = json.loads(numbers)
    for name in plain["files"]:
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
    record = Record.load(about["record"])
    return Found(folder, run, record, Result(**plain), about["provenance"])


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
