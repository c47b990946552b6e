"""A folder of one's own images: ``train/CLASS/*.png`` or ``.jpg``, and ``test/CLASS/*``.

Images of one size are decoded once and kept in memory; where a size is asked for they may be of
any, and stay files (see `folder`).
"""

from __future__ import annotations

import difflib
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.data.facts import Facts
from winnow.data.file_hash import file_hash
from winnow.data.folder import TRAIN, FolderImages, open_folder
from winnow.data.images import Arrays
from winnow.data.listing import Listing, list_folder
from winnow.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_TESTS = ("test", "val", "valid", "validation")  # what the folder of test images may be called
_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as nobody reads all files first
_GREY = ("L", "1")
_COLOUR = ("RGB", "P", "RGBA", "CMYK", "YCbCr")


def image_folder(written: str) -> Path:
    """The folder of a name in a recipe. UserError: there is none, or no pillow to read it with."""
    folder = Path(written).expanduser()
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
    train, tested = list_folder(folder / TRAIN), list_folder(folder / test)
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
    digest = hashlib.sha256(b"own folder 1;")
    for split in splits:
        digest.update("\0".join(split.classes).encode("utf-8", "surrogateescape"))
        for image in range(len(split)):
            path = split.path(image)
            digest.update(f";{path.name};".encode("utf-8", "surrogateescape"))
            digest.update(f"{split.labels[image]}{file_hash(path)}".encode())
    return digest.hexdigest()


def decoded(splits: tuple[Listing, Listing]) -> Arrays:
    """All images as uint8 (N, C, H, W), grey if all are grey, else in colour; and their classes.

    UserError, naming the file, for one that is damaged, has 16 bits, or is of another size than
    the first.
    """
    first = splits[0].path(0)
    opened = [[_opened(split.path(i)) for i in range(len(split))] for split in splits]
    size = opened[0][0].size
    for split, images in zip(splits, opened, strict=True):
        for number, image in enumerate(images):
            if image.size != size:
                raise UserError(
                    f"{split.path(number)} has {image.width}x{image.height} pixels, and {first} "
                    f"{size[0]}x{size[1]}: bring all to one size, or write data.size, e.g. 64, "
                    "which reads them from their files as squares"
                )
    grey = all(image.mode in _GREY for images in opened for image in images)
    (train, test), (train_y, test_y) = opened, (split.labels for split in splits)
    return {
        "train_x": _stacked(train, grey),
        "train_y": torch.from_numpy(train_y),
        "test_x": _stacked(test, grey),
        "test_y": torch.from_numpy(test_y),
    }


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


def _opened(path: Path) -> Image:
    """An image in memory."""
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            image.load()
            mode = image.mode
            copy = image.copy()
    except Exception as error:  # PIL raises many kinds on damaged bytes: OSError, SyntaxError, ...
        raise UserError(
            f"{path} cannot be decoded ({type(error).__name__}): the file is damaged, or no image"
        ) from error
    if mode not in _GREY + _COLOUR:
        raise UserError(f"{path} is in mode {mode}: images are grey or in colour, with 8 bits")
    return copy


def _stacked(images: list[Image], grey: bool) -> torch.Tensor:
    pixels: list[NDArray[np.uint8]] = [
        np.asarray(image.convert("L" if grey else "RGB")) for image in images
    ]
    array = np.stack(pixels)
    return torch.from_numpy(array[:, None] if grey else array.transpose(0, 3, 1, 2).copy())
