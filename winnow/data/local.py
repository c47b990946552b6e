"""A dataset in a local folder of parquet files, laid out as on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from winnow.data.decode import ROWS, decode, reason
from winnow.data.facts import Facts
from winnow.data.file_hash import file_hash
from winnow.data.images import Arrays
from winnow.errors import UserError


class Local:
    """A folder that holds ``train-*.parquet`` and ``test-*.parquet`` at any depth."""

    def __init__(self, facts: Facts, folder: Path) -> None:
        self.facts = facts
        self.folder = folder

    def files(self) -> dict[str, list[Path]]:
        """The parquet files of "train" and "test", sorted; UserError when one has none."""
        found = {}
        for part, split in (("train", "train"), ("test", self.facts.test_split)):
            found[part] = sorted(self.folder.rglob(f"{split}*.parquet"))
            if not found[part]:
                example = self.folder / "data" / f"{split}-00000-of-00001.parquet"
                raise UserError(
                    f"the data folder {self.folder} has no {split}*.parquet file; "
                    f"put the {split} split there, e.g. as {example}"
                )
        return found

    def key(self) -> str:
        """SHA-256, in hex, of the bytes of all files."""
        digest = hashlib.sha256()
        for part, paths in self.files().items():
            for path in paths:
                digest.update(f"{part} {file_hash(path)};".encode())
        return digest.hexdigest()

    def read(self, scratch: Path) -> tuple[Arrays, str]:
        """Decode all files; UserError names the file, and the row, of what is damaged."""
        arrays: Arrays = {}
        for part, paths in self.files().items():
            pieces = [decode(_tables(path, scratch), self.facts, str(path)) for path in paths]
            arrays[f"{part}_x"] = torch.cat([x for x, _ in pieces])
            arrays[f"{part}_y"] = torch.cat([y for _, y in pieces])
        return arrays, f"local folder {self.folder.name}"


def _tables(path: Path, scratch: Path) -> Iterator[Any]:
    """The rows of one parquet file as Arrow tables of at most ``ROWS``.

    Streamed, so that ``datasets`` keeps no second copy on disk.
    """
    import datasets
    import pyarrow

    try:
        with uncounted():
            rows = datasets.load_dataset(
                "parquet",
                data_files=str(path),
                split="train",
                streaming=True,
                cache_dir=str(scratch),
                batch_size=ROWS,
            )
            yield from rows.with_format("arrow").iter(batch_size=ROWS)
    except (pyarrow.ArrowException, OSError, datasets.exceptions.DatasetsError) as error:
        raise UserError(
            f"{path} cannot be read ({reason(error)}). The file is damaged; get a fresh copy."
        ) from error


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """Let ``datasets`` not report the load of a local file to the hub, nor wait for it offline."""
    from datasets import config

    before = config.HF_UPDATE_DOWNLOAD_COUNTS
    config.HF_UPDATE_DOWNLOAD_COUNTS = False
    try:
        yield
    finally:
        config.HF_UPDATE_DOWNLOAD_COUNTS = before
