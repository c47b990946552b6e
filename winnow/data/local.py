"""A dataset in a local folder of parquet files, laid out as on the Hugging Face hub.

Files are opened by their names, which are never patterns: a folder may be called ``set[1]``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from winnow.data.decode import at_most, decode
from winnow.data.facts import Facts
from winnow.data.file_hash import file_bytes, file_hash
from winnow.data.images import Arrays
from winnow.data.links import check_link
from winnow.data.parquet import parquet_tables
from winnow.errors import UserError


class Local:
    """A folder that holds ``train-*.parquet`` and ``test-*.parquet`` at any depth."""

    def __init__(self, facts: Facts, folder: Path) -> None:
        self.facts = facts
        self.folder = folder

    def files(self) -> dict[str, list[Path]]:
        """The parquet files of "train" and "test", sorted; UserError when one has none."""
        present = parquet_files(self.folder)
        found = {}
        for part, split in (("train", "train"), ("test", self.facts.test_split)):
            found[part] = [path for path in present if path.name.startswith(split)]
            if not found[part]:
                example = self.folder / "data" / f"{split}-00000-of-00001.parquet"
                raise UserError(
                    f"the data folder {self.folder} has no {split}*.parquet file; "
                    f"put the {split} split there, e.g. as {example}"
                )
        return found

    def key(self) -> str:
        """SHA-256, in hex, of the bytes of all files."""
        return _key(
            {part: [file_hash(path) for path in paths] for part, paths in self.files().items()}
        )

    def read(self, scratch: Path, key: str) -> tuple[Arrays, str]:  # noqa: ARG002  one signature
        """Decode all files, whose bytes together are those of ``key``.

        UserError names the file, and the row, of what is damaged; or says that a file was changed
        since the key was taken.
        """
        arrays: Arrays = {}
        hashes: dict[str, list[str]] = {}
        sizes = {"train": self.facts.train_size, "test": self.facts.test_size}
        for part, paths in self.files().items():
            pieces: list[tuple[torch.Tensor, torch.Tensor]] = []
            hashes[part] = []
            for path in paths:
                about = self.facts, str(path)
                data, digest = file_bytes(path)
                room = sizes[part] - sum(len(labels) for _, labels in pieces)
                tables = at_most(room, parquet_tables(data, self.facts, str(path)), *about)
                pieces.append(decode(tables, *about))
                hashes[part].append(digest)
            arrays[f"{part}_x"] = torch.cat([x for x, _ in pieces])
            arrays[f"{part}_y"] = torch.cat([y for _, y in pieces])
        if _key(hashes) != key:
            raise UserError(f"files in {self.folder} were changed while they were read: run again")
        return arrays, f"local folder {self.folder.name}"


def parquet_files(folder: Path) -> list[Path]:
    """All files called ``*.parquet`` in a folder, at any depth, sorted; hidden ones are not seen.

    Links to files are followed, and each file is there once. UserError: a folder in it cannot be
    read, or a link leads out of it.
    """
    if not folder.is_dir():
        return []
    found: dict[str, Path] = {}  # by where it really is
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and (name in folders or _is_parquet(name)):
                check_link(path, folder)
        for path in (Path(place, name) for name in sorted(files) if _is_parquet(name)):
            found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())


def _is_parquet(name: str) -> bool:
    return name.endswith(".parquet") and not name.startswith(".")


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"{error.filename} cannot be read ({error.strerror}); check its permissions"
    ) from error


def _key(hashes: Mapping[str, list[str]]) -> str:
    """Of the hashes of the files of each part. Earlier keys are not met again: what an earlier
    version has decoded under them may come from other files, as paths were patterns to it.
    """
    digest = hashlib.sha256(b"parquet files by name;")
    for part, of_files in hashes.items():
        for one in of_files:
            digest.update(f"{part} {one};".encode())
    return digest.hexdigest()
