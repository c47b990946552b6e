"""A dataset whose images stay in files: found in a folder, listed, and known by its content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from winnow.data.facts import Facts
from winnow.data.hub import Unreachable
from winnow.data.image_files import ImageFiles
from winnow.data.links import check_link
from winnow.data.listing import Listing, content_of, list_folder
from winnow.errors import UserError

TRAIN = "train"  # the folder of the training images


@dataclass(frozen=True, eq=False)
class FolderImages:
    """A dataset in files, with the names that `Images` has for one in memory.

    ``content``: the hash of `content_of`. ``train_x``, ``test_x``: at the usual size; `at_size`
    gives others.
    """

    name: str
    train_x: ImageFiles
    train_y: torch.Tensor  # int64 (N,)
    test_x: ImageFiles
    test_y: torch.Tensor  # int64 (M,)
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    content: str
    source: str

    def at_size(self, size: int) -> tuple[ImageFiles, ImageFiles]:
        """The images for training and for testing as squares of ``size`` pixels a side."""
        return ImageFiles(self.train_x.listing, size), ImageFiles(self.test_x.listing, size)


def find_folder(known: Facts, candidates: Sequence[Path]) -> Path:
    """The first of some folders that has a dataset's images in files.

    Raises Unreachable: none has, with those that were tried and the layout that is wanted.
    """
    for folder in candidates:
        if (folder / TRAIN).is_dir() or (folder / known.test_split).is_dir():
            return folder
    here = ", ".join(str(folder) for folder in candidates)
    tried = f"no folder {TRAIN} in {here}" if candidates else "WINNOW_DATA is not set"
    layout = [f"{known.folders[0]}/{part}/CLASS/*.JPEG" for part in (TRAIN, known.test_split)]
    raise Unreachable(
        f"the dataset {known.name} cannot be found. Tried: {tried}. It is not downloaded from "
        f"anywhere, as whoever uses it must accept its terms ({known.licence}): get it from those "
        f"who publish it, and set WINNOW_DATA to a folder that contains {layout[0]} and "
        f"{layout[1]} (.jpg and .png, too)"
    )


def open_folder(known: Facts, folder: Path, source: str) -> FolderImages:
    """The dataset in a folder; ``source`` says what that is, in words.

    Images are listed and not opened: damaged ones are noticed when they are read. UserError: a
    split is missing, or its classes are not those of the other split, or not as many as expected.
    """
    train, test = (_split(folder, part) for part in (TRAIN, known.test_split))
    _check_classes(known, train, test)
    usual = known.shape[1]
    return FolderImages(
        name=known.name,
        train_x=ImageFiles(train, usual),
        train_y=torch.from_numpy(train.labels),
        test_x=ImageFiles(test, usual),
        test_y=torch.from_numpy(test.labels),
        classes=known.classes,
        mean=known.mean,
        std=known.std,
        content=content_of([train, test]),
        source=source,
    )


def _split(folder: Path, part: str) -> Listing:
    if not (folder / part).is_dir():
        raise UserError(
            f"{folder} has no folder {part}: put its images there, as {part}/CLASS/*.JPEG"
        )
    check_link(folder / part, folder)
    return list_folder(folder / part, within=folder)


def _check_classes(known: Facts, train: Listing, test: Listing) -> None:
    """UserError unless both splits have the classes that the dataset has."""
    for some, other in ((train, test), (test, train)):
        if lacking := sorted(set(other.classes) - set(some.classes)):
            first = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
            raise UserError(
                f"{some.folder} lacks {len(lacking)} of the classes that {other.folder} has "
                f"({first}): both need a folder of the same name for each class"
            )
    if len(train.classes) != known.classes:
        raise UserError(
            f"{train.folder} has folders of {len(train.classes)} classes; {known.name} has "
            f"{known.classes}. Get a complete copy"
        )
