"""A folder of image files, one folder for each class, as compact lists: no image is opened."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.data.decode import reason
from winnow.data.file_hash import file_hash
from winnow.data.links import check_link
from winnow.errors import UserError

_log = logging.getLogger(__name__)

ENDINGS = (".jpeg", ".jpg", ".png")  # of file names, in any case
SAMPLE = 1000  # files of a split whose bytes are read for the hash of its content


@dataclass(frozen=True, eq=False)
class Listing:
    """The images ``folder``/CLASS/NAME of a split, by class and then by name.

    ``names``: all names, encoded as the file system has them, one after the other; that of image i
    ends before ``ends[i]``. A million of them so take 50 MB, of which 20 are names. ``labels``:
    the position of each one's class in ``classes``, which are sorted. ``sizes``: bytes.
    """

    folder: Path
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    names: bytes
    ends: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, image: int) -> Path:
        """Where an image (from 0) lies."""
        begin = int(self.ends[image - 1]) if image else 0
        name = os.fsdecode(self.names[begin : int(self.ends[image])])
        return self.folder / self.classes[int(self.labels[image])] / name


def list_folder(folder: Path, within: Path | None = None) -> Listing:
    """All images in the folders of classes in ``folder``, by the endings of their names.

    Hidden files and folders are passed over, other files are counted in a warning. UserError:
    the folder cannot be read, has no class, or a class has no image; what is called an image is no
    file; a class or an image is a link out of ``within``, where that is given.
    """
    classes = tuple(sorted(_entries(folder, within, folders=True)))
    if not classes:
        raise UserError(
            f"{folder} has no folder of a class: images are expected as {folder / 'CLASS'}/*.JPEG"
        )
    names, ends, labels, sizes, others = bytearray(), [], [], [], 0
    for label, name in enumerate(classes):
        found, images = _entries(folder / name, within, folders=False), {}
        for file, entry in sorted(found.items()):
            if file.lower().endswith(ENDINGS):
                images[file] = _size(entry, within)
        if not images:
            raise UserError(
                f"{folder / name} has no image whose name ends in {', '.join(ENDINGS)}: add the "
                "images of this class, or remove the folder"
            )
        others += len(found) - len(images)
        for image, size in images.items():
            names += os.fsencode(image)
            ends.append(len(names))
            sizes.append(size)
        labels.append(np.full(len(images), label, np.int64))
    if others:
        _log.warning("%s: %d files that are not called %s", folder, others, " or ".join(ENDINGS))
    arrays = np.concatenate(labels), np.array(ends, np.int64), np.array(sizes, np.int64)
    return Listing(folder, classes, arrays[0], bytes(names), arrays[1], arrays[2])


def _entries(folder: Path, within: Path | None, *, folders: bool) -> dict[str, os.DirEntry[str]]:
    """What is in a folder, by name: its folders or its files, hidden ones not."""
    try:
        with os.scandir(folder) as scanned:
            visible = (entry for entry in scanned if not entry.name.startswith("."))
            found = {entry.name: entry for entry in visible if entry.is_dir() == folders}
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({reason(error)}); check its permissions"
        ) from error
    for entry in found.values():
        if folders and within is not None and entry.is_symlink():
            check_link(Path(entry.path), within)
    return found


def _size(entry: os.DirEntry[str], within: Path | None) -> int:
    """The bytes of an image's file. UserError: it is no file, or a link to what it may not be."""
    if within is not None and entry.is_symlink():
        check_link(Path(entry.path), within)
    try:
        about = entry.stat()
    except OSError as error:
        raise UserError(f"{entry.path} cannot be read ({reason(error)})") from error
    if not stat.S_ISREG(about.st_mode):
        raise UserError(f"{entry.path} is no image but a pipe or a device: remove it")
    return about.st_size


def content_of(splits: Sequence[Listing]) -> str:
    """SHA-256, in hex, of the classes, names and sizes of all files, and of some files' bytes.

    Of each split those of ``SAMPLE`` files, evenly spread; of a split that has no more, all.
    So it sees that a file was added, removed, renamed, moved to another class, or has another
    length; that one was replaced by another of the same length it sees in a sampled file alone.
    Reading all of ImageNet's 150 GB would take longer than many an experiment. It is not of
    pixels: another version of the decoder may read others in their last bit.
    UserError for a file that cannot be read.
    """
    digest = hashlib.sha256(b"image files 1;")
    for split in splits:
        for part in ("\0".join(split.classes).encode("utf-8", "surrogateescape"), split.names):
            digest.update(f"{len(part)};".encode())
            digest.update(part)
        for array in (split.labels, split.ends, split.sizes):
            digest.update(array.astype("<i8").tobytes())
        for image in np.linspace(0, len(split) - 1, min(len(split), SAMPLE)).round().astype(int):
            digest.update(bytes.fromhex(file_hash(split.path(int(image)))))
    return digest.hexdigest()
