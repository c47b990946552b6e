"""A folder of one's own images: ``train/CLASS/*.png`` or ``.jpg``, and ``test/CLASS/*``.

Images of one size are decoded once and kept in memory; where a size is asked for they may be of
any, and stay files (see `folder`).
"""

from __future__ import annotations

import difflib
import hashlib
import io
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from winnow.data.facts import Facts
from winnow.data.file_hash import file_bytes, file_hash
from winnow.data.folder import TRAIN, FolderImages, open_folder
from winnow.data.images import Arrays
from winnow.data.links import check_link
from winnow.data.listing import Listing, list_folder
from winnow.data.pictures import opened_picture
from winnow.errors import UserError
from winnow.files import open_regular

_TESTS = ("test", "val", "valid", "validation")  # what the folder of test images may be called
_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as nobody reads all files first
_GREY = ("L", "1")
_COLOUR = ("RGB", "P", "RGBA", "CMYK", "YCbCr")


def image_folder(written: str) -> Path:
    """The folder of a name in a recipe. UserError: there is none, or no pillow to read it with."""
    try:
        folder = Path(written).expanduser()
    except RuntimeError:
        raise UserError(
            f"data.name {written!r}: nobody here is called {Path(written).parts[0][1:]!r}; of a "
            f"folder that is called so write ./{written}"
        ) from None
    if not folder.is_dir():
        parent = folder.parent
        there = [str(one) for one in parent.iterdir() if one.is_dir()] if parent.is_dir() else []
        near = difflib.get_close_matches(str(folder), there, n=1, cutoff=0.4)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"data.name {written!r}: there is no such folder, seen from {Path.cwd()}.{meant}"
        )
    if find_spec("PIL") is None:
        raise UserError(f"data.name {written!r} needs pillow: pip install 'winnow[data]'")
    return folder


def folder_splits(folder: Path) -> tuple[Listing, Listing]:
    """The images for training and for testing. UserError: a split is missing, or has other
    classes than the other one.
    """
    if not (folder / TRAIN).is_dir():
        raise UserError(
            f"{folder} has no folder {TRAIN}: put the images there, {TRAIN}/CLASS/*.png or .jpg, "
            "and some for testing into test/CLASS"
        )
    test = _test_name(folder)
    for part in (TRAIN, test):
        check_link(folder / part, folder)
    train, tested = (list_folder(folder / part, within=folder) for part in (TRAIN, test))
    if train.classes != tested.classes:
        differing = sorted(set(train.classes) ^ set(tested.classes))
        raise UserError(
            f"{train.folder} and {tested.folder} need a folder of the same name for each class; "
            f"only one of them has {', '.join(differing[:3])}"
        )
    if len(train.classes) < 2:
        raise UserError(f"{train.folder} has one class: at least two are needed")
    return train, tested


def key_of_files(splits: tuple[Listing, Listing]) -> str:
    """SHA-256, in hex, of the classes, names and bytes of all files."""
    return _key(splits, [[file_hash(split.path(i)) for i in range(len(split))] for split in splits])


def _key(splits: tuple[Listing, Listing], hashes: list[list[str]]) -> str:
    """Every name with its length before it: whatever it is, it is not taken for two others."""
    digest = hashlib.sha256(b"own folder 2;")
    for split, of_files in zip(splits, hashes, strict=True):
        digest.update(f"{len(split.classes)} {len(split)};".encode())
        names = [os.fsencode(name) for name in split.classes]
        names += [os.fsencode(split.path(i).name) for i in range(len(split))]
        for name in names:
            digest.update(f"{len(name)};".encode() + name)
        for label, one in zip(split.labels, of_files, strict=True):
            digest.update(f"{label} {one};".encode())
    return digest.hexdigest()


def decoded(splits: tuple[Listing, Listing]) -> tuple[Arrays, str]:
    """All images as uint8 (N, C, H, W), grey if all are grey, else in colour, and their classes;
    and the `key_of_files` of what was read.

    UserError, naming the file, for one that is damaged, has 16 bits, or is of another size than
    the first; where they take more memory than there is.
    """
    first = splits[0].path(0)
    size, grey = _header(first)[0], True
    for split in splits:
        for path in map(split.path, range(len(split))):
            own_size, mode = _header(path)
            grey = grey and mode in _GREY
            if own_size != size:
                raise UserError(
                    f"{path} has {own_size[0]}x{own_size[1]} pixels, and {first} "
                    f"{size[0]}x{size[1]}: bring all to one size, or write data.size, e.g. 64, "
                    "which reads them from their files as squares"
                )
    _check_memory(splits, size, grey)
    (train, train_hashes), (test, test_hashes) = (_pixels(split, size, grey) for split in splits)
    train_y, test_y = (torch.from_numpy(split.labels) for split in splits)
    arrays = {"train_x": train, "train_y": train_y, "test_x": test, "test_y": test_y}
    return arrays, _key(splits, [train_hashes, test_hashes])


def in_files(folder: Path, size: int) -> FolderImages:
    """The folder's images as they stay in files, read as squares of ``size`` pixels a side.

    Their mean and standard deviation are taken to be ImageNet's.
    """
    train, test = folder_splits(folder)
    known = Facts(
        name="own",
        shape=(3, size, size),
        classes=len(train.classes),
        train_size=len(train),
        test_size=len(test),
        mean=tuple(255 * value for value in _RGB[0]),
        std=tuple(255 * value for value in _RGB[1]),
        citation="your own",
        licence="yours",
        test_split=_test_name(folder),
        in_files=True,
    )
    return open_folder(known, folder, f"folder {folder}")


def _test_name(folder: Path) -> str:
    for name in _TESTS:
        if (folder / name).is_dir():
            return name
    raise UserError(
        f"{folder} has no test split: put images that nothing is trained on into "
        f"{folder / 'test'}/CLASS (data.validation holds out a part of {TRAIN} besides)"
    )


def _header(path: Path) -> tuple[tuple[int, int], str]:
    """Width and height of an image, and its mode. Its pixels are not decoded."""
    try:
        with open_regular(path) as file, opened_picture(file, str(path)) as image:
            size, mode = image.size, image.mode
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    if mode not in _GREY + _COLOUR:
        raise UserError(f"{path} is in mode {mode}: images are grey or in colour, with 8 bits")
    return size, mode


def _check_memory(splits: tuple[Listing, Listing], size: tuple[int, int], grey: bool) -> None:
    """UserError where the pixels would take more than half of this machine's memory."""
    needed = sum(map(len, splits)) * size[0] * size[1] * (1 if grey else 3)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 2 * needed > there:
        raise UserError(
            f"the images in {splits[0].folder.parent} take {needed / 1e9:.0f} GB in memory, and "
            f"this machine has {there / 1e9:.0f}: write data.size, e.g. 224, which reads them from "
            "their files as squares"
        )


def _pixels(split: Listing, size: tuple[int, int], grey: bool) -> tuple[torch.Tensor, list[str]]:
    """All images of a split, uint8 (N, C, H, W), and the hashes of their files."""
    width, height = size
    array = np.empty((len(split), 1 if grey else 3, height, width), np.uint8)
    hashes = []
    for number in range(len(split)):
        path = split.path(number)
        data, digest = file_bytes(path)
        hashes.append(digest)
        with opened_picture(io.BytesIO(data), str(path)) as image:
            if image.size != size:
                raise UserError(f"{path} was changed while it was read: run again")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
        array[number] = pixels[None] if grey else pixels.transpose(2, 0, 1)
    return torch.from_numpy(array), hashes
