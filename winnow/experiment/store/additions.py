"""What is recorded of a finished run later: folders inside the run's own, each whole or absent.

RUN/added-N/added.json         what it adds: record, numbers, provenance, hashes
           /step-N.safetensors states

The run's files stay as they are. An addition names the ``result.json`` that it belongs to, and is
left out by readers where it is damaged; its run is none the worse for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winnow.digest import read_json
from winnow.experiment.runs import Record, plain_fields
from winnow.files import whole_folder, write_new

_NAME = "added.json"


@dataclass(frozen=True)
class Addition:
    """Numbers of a finished run, in the words of `Result`: what it adds to each of its mappings."""

    record: Record
    curve: Mapping[str, list[Any]] = field(default_factory=dict)
    accuracy_at: Mapping[str, float] = field(default_factory=dict)
    validation_at: Mapping[str, float] = field(default_factory=dict)
    stop: Mapping[str, float] = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)
    stop_loss: Mapping[str, float | None] = field(default_factory=dict)
    final_loss: Mapping[str, float | None] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def addition_folders(run: Path) -> list[Path]:
    """The additions in a run's folder, oldest first."""
    with os.scandir(run) as entries:  # a glob takes many times as long, for each run of a store
        names = [entry.name for entry in entries if entry.name.startswith("added-")]
    return [run / name for name in sorted(names, key=_number)]


def write_addition(
    run: Path, identity: str, addition: Addition, files: Mapping[str, bytes], about: Any
) -> Path:
    """Add to the finished run in a folder; the new folder. Nothing that is there is replaced.

    ``files``: states by name; ``about``: provenance. Raises OSError.
    """
    number = max((_number(folder.name) for folder in addition_folders(run)), default=0) + 1
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    numbers = plain_fields(addition)
    plain = {
        "id": identity,
        "of": _hash_of(run / "result.json"),
        "added": {**numbers, "record": addition.record.dump(), "files": hashes},
        "provenance": about,
    }
    text = json.dumps({**plain, "digest": _digest(plain)}, indent=1, sort_keys=True)
    folder = run / f"added-{number}"
    with whole_folder(folder) as place:
        for name, data in files.items():
            write_new(place / name, data)
        write_new(place / _NAME, f"{text}\n")
    return folder


def read_addition(folder: Path, identity: str) -> Addition:
    """What a folder adds to the run that it is in.

    Raises ValueError (or KeyError, TypeError, OSError) saying what is wrong.
    """
    plain = read_json((folder / _NAME).read_bytes())
    digest = plain.pop("digest")
    if digest != _digest(plain):
        raise ValueError(f"{_NAME} is not what was written")
    if plain["id"] != identity or plain["of"] != _hash_of(folder.parent / "result.json"):
        raise ValueError(f"{_NAME} belongs to another run")
    added = plain["added"]
    for name in added["files"]:
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
    return Addition(**{**added, "record": Record.load(added["record"])})


def read_additions(run: Path, identity: str) -> Iterator[tuple[Path, Addition]]:
    """The additions to the run in a folder, oldest first, without those that are damaged."""
    for folder in addition_folders(run):
        try:
            yield folder, read_addition(folder, identity)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def damaged_additions(run: Path, identity: str) -> Iterator[tuple[Path, str]]:
    """The additions that cannot be read, and why."""
    for folder in addition_folders(run):
        try:
            read_addition(folder, identity)
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield folder, str(error)


def _number(name: str) -> int:
    digits = name.removeprefix("added-")
    return int(digits) if digits.isdecimal() else 0


def _hash_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
