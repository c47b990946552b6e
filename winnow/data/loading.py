"""Find a dataset, decode it once, and give it as tensors."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pathlib import Path

from winnow.data import cache as caching
from winnow.data.digits import Digits
from winnow.data.facts import Facts, facts
from winnow.data.hub import Hub, Unreachable
from winnow.data.images import Arrays, Images
from winnow.data.local import Local
from winnow.errors import UserError
from winnow.files import cache_folder

_log = logging.getLogger(__name__)

_Source = Digits | Local | Hub
_READERS = {"datasets": "datasets", "pyarrow": "pyarrow", "PIL": "pillow"}  # module -> package


def load_images(
    name: str,
    *,
    root: Path | str | None = None,
    cache: Path | str | None = None,
    online: bool = True,
) -> Images:
    """The dataset ``name`` (see ``dataset_names``) as decoded tensors.

    It comes from scikit-learn (digits), else from a folder of parquet files under ``root``
    (default $WINNOW_DATA), else from the Hugging Face hub unless ``online`` is False. Images
    are decoded once, into ``cache`` (default $WINNOW_CACHE, else the user's cache folder).
    Raises UserError for an unknown dataset, for damaged files and where the packages of the extra
    ``data`` are needed and missing; Unreachable (a UserError) when there is no copy to be had.
    """
    known = facts(name)
    source = _source(known, root)
    key = source.key()
    path = caching.path_of(cache_folder(cache), name, key)

    def read(scratch: Path) -> tuple[Arrays, str]:
        return _read(known, source, scratch, root, online)

    arrays, content, origin = caching.through(path, key, read)
    return Images(
        name=name,
        train_x=arrays["train_x"],
        train_y=arrays["train_y"],
        test_x=arrays["test_x"],
        test_y=arrays["test_y"],
        classes=known.classes,
        mean=known.mean,
        std=known.std,
        content=content,
        source=origin,
    )


def dataset_content(
    name: str,
    *,
    root: Path | str | None = None,
    cache: Path | str | None = None,
    online: bool = True,
) -> str:
    """The content hash of a dataset, from the header of the cache where that knows it.

    Otherwise the dataset is loaded; arguments and errors are those of ``load_images``.
    """
    source = _source(facts(name), root)
    key = source.key()
    path = caching.path_of(cache_folder(cache), name, key)
    recorded = caching.known_content(path, key)
    return recorded or load_images(name, root=root, cache=cache, online=online).content


def _source(known: Facts, root: Path | str | None) -> _Source:
    if known.hub is None:
        return Digits()
    for folder in _candidates(known, root):
        if any(folder.rglob("*.parquet")):
            return Local(known, folder)
    return Hub(known)


def _candidates(known: Facts, root: Path | str | None) -> list[Path]:
    """The folders that are tried; none when there is no data folder."""
    base = root if root is not None else os.environ.get("WINNOW_DATA")
    return [Path(base) / folder for folder in known.folders] if base else []


def _read(
    known: Facts, source: _Source, scratch: Path, root: Path | str | None, online: bool
) -> tuple[Arrays, str]:
    if isinstance(source, Digits):
        return source.read(scratch)
    if isinstance(source, Hub) and not online:
        raise _unreachable(known, root, "not asked: offline")
    _check_readers(known)
    try:
        arrays, origin = source.read(scratch)
    except Unreachable as error:
        raise _unreachable(known, root, str(error)) from error
    _note_size(known, arrays, origin)
    return arrays, origin


def _check_readers(known: Facts) -> None:
    """UserError where a package is missing that decodes all datasets but digits."""
    missing = [package for module, package in _READERS.items() if find_spec(module) is None]
    if missing:
        raise UserError(
            f"decoding {known.name} needs {' and '.join(missing)}, not installed here: "
            "pip install 'winnow[data]'. Only digits come without"
        )


def _unreachable(known: Facts, root: Path | str | None, why: str) -> Unreachable:
    folders = [str(folder) for folder in _candidates(known, root)]
    tried = f"no parquet files in {', '.join(folders)}" if folders else "WINNOW_DATA is not set"
    return Unreachable(
        f"the dataset {known.name} cannot be found. Tried: {tried}; "
        f"the hub dataset {known.hub} ({why}). Two ways to provide it: set WINNOW_DATA to a "
        f"folder that contains {known.folders[0]}/data/train-*.parquet and "
        f"{known.folders[0]}/data/{known.test_split}-*.parquet, "
        f"or connect to huggingface.co and run again."
    )


def _note_size(known: Facts, arrays: Arrays, origin: str) -> None:
    sizes = len(arrays["train_y"]), len(arrays["test_y"])
    if sizes != (known.train_size, known.test_size):
        _log.warning(
            "%s from %s has %d training and %d test images; the whole dataset has %d and %d",
            *(known.name, origin, *sizes, known.train_size, known.test_size),
        )
