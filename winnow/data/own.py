"""Data of one's own: a function outside Winnow, a folder of images, or arrays that are kept.

    module:function, path/to/file.py:function    returns what `given` takes
    path/to/folder                               images (see `own_folder`); ./folder for one here
    content:HASH                                 arrays that `keep_arrays` has kept

Arrays are kept in the cache by the hash of their content, from where those who train load them.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch

from winnow.data import cache as caching
from winnow.data.facts import Facts, facts
from winnow.data.folder import FolderImages
from winnow.data.given import given_arrays
from winnow.data.images import Arrays, Images, content_hash
from winnow.data.own_folder import decoded, folder_splits, image_folder, in_files, key_of_files
from winnow.data.own_names import FILES, KEPT, is_function, is_own_data
from winnow.digest import sealed_json, unsealed_json
from winnow.errors import UserError
from winnow.files import cache_folder, write_whole
from winnow.outside import failed, folder_of, load_outside, own_imports

_SAID = "data.name"
_known: dict[tuple[Path, str], Facts] = {}
"""What was last read, by the folder that it was read from and its name: see `known_data`."""


def known_data(key: str) -> Facts:
    """The facts of a dataset, by its name or the key of a recipe's (`recipe.Data.key`).

    Of one's own data those that were last loaded here; it is loaded where it never was.
    """
    if not is_own_data(key):
        return facts(key)
    place = Path.cwd(), key
    if place not in _known:
        load_own_data(key)
    return _known[place]


def load_own_data(key: str) -> Images | FolderImages:
    """One's own data, read anew. UserError: it is not there, or is not what is expected."""
    images = _loaded(key)
    _known[Path.cwd(), key] = _facts_of(images)
    return images


def kept_images(content: str) -> Images:
    """The arrays with this content. UserError: the cache has none, or they are damaged."""

    def read(_: Path) -> tuple[Arrays, str]:
        raise UserError(
            f"the data with the content {content[:12]} is not in the cache "
            f"({_file(content).parent}): run the command again where the data is"
        )

    arrays, _, source = caching.through(_file(content), content, read)
    mean, std = _moments(arrays["train_x"])
    return Images(
        name="own",
        train_x=arrays["train_x"],
        train_y=arrays["train_y"],
        test_x=arrays["test_x"],
        test_y=arrays["test_y"],
        classes=int(arrays["train_y"].max()) + 1,
        mean=mean,
        std=std,
        content=content,
        source=source,
    )


def keep_arrays(arrays: Arrays, source: str) -> str:
    """Keep checked arrays in the cache; the hash of their content. UserError: it is not writable.

    ``source``: where they came from, in words.
    """
    content = content_hash(arrays)
    apart = {name: array.clone() for name, array in arrays.items()}  # a file takes no shared memory
    caching.through(_file(content), content, lambda _: (apart, source))
    if not _file(content).exists():
        raise UserError(
            f"{_file(content)} cannot be written, and those who train load the data from there: "
            "set WINNOW_CACHE to a folder that can be"
        )
    return content


def open_own_folder(place: str, size: int) -> FolderImages:
    """One's own images in files."""
    return in_files(image_folder(place), size)


def _loaded(key: str) -> Images | FolderImages:
    if key.startswith(KEPT):
        return kept_images(key.removeprefix(KEPT))
    if is_function(key):
        arrays = given_arrays(_called(key), f"{_SAID} {key}")
        return kept_images(keep_arrays(arrays, f"function {key}"))
    folder, _, size = key.rpartition(FILES)
    if folder and size.isdecimal():
        return open_own_folder(folder, int(size))
    return _decoded_once(key)


def _called(written: str) -> Any:
    """What the function of a name returns. UserError: there is none, or it fails."""
    function = load_outside(written, _SAID)
    needed = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if needed:
        raise UserError(
            f"{_SAID} {written!r} is called without arguments, and needs {', '.join(needed)}: "
            "give defaults"
        )
    try:
        with own_imports(folder_of(written)):
            return function()
    except UserError:
        raise
    except Exception as error:  # whatever the function raises
        raise failed(f"{_SAID} {written!r}", "reading the data", error) from error


def _decoded_once(name: str) -> Images:
    """A folder's images, from the cache where the same files were decoded before."""
    splits = folder_splits(image_folder(name))
    key = key_of_files(splits)
    if (content := _noted(_note(key), key)) is not None and _file(content).exists():
        return kept_images(content)
    arrays, key = decoded(splits)  # the key of what was read: a file may have changed since
    content = keep_arrays(arrays, f"folder {name}")
    write_whole(_note(key), sealed_json({"key": key, "content": content}))
    return kept_images(content)


def _note(key: str) -> Path:
    """The file that says which arrays a folder with this key becomes."""
    return cache_folder() / "data" / f"folder-{key[:16]}.json"


def _noted(note: Path, key: str) -> str | None:
    try:
        about, _ = unsealed_json(note.read_bytes(), ("key", "content"))
        return str(about["content"]) if about["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(content: str) -> Path:
    return caching.path_of(cache_folder(), "own", content)


def _facts_of(images: Images | FolderImages) -> Facts:
    in_memory = isinstance(images, Images)
    floats = isinstance(images, Images) and images.train_x.dtype != torch.uint8
    return Facts(
        name="own",
        shape=images.inputs if isinstance(images, Images) else images.train_x.shape[1:],
        classes=images.classes,
        train_size=len(images.train_y),
        test_size=len(images.test_y),
        mean=images.mean,
        std=images.std,
        citation="your own",
        licence="yours",
        most=1 if floats else 255,
        in_files=not in_memory,
        pixels="float32" if floats else "uint8",
    )


def _moments(x: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel; 1 for one that is the same everywhere.

    Of uint8 from exact counts of each value, of others in float64 on one thread: on any number of
    cores the same bits.
    """
    means, deviations = [], []
    for channel in range(x.shape[1]):
        values = x[:, channel].flatten()
        if x.dtype == torch.uint8:
            counts = torch.bincount(values, minlength=256).numpy().astype(object)
            n, levels = int(counts.sum()), np.arange(256).astype(object)
            mean = int((counts * levels).sum()) / n
            variance = int((counts * levels**2).sum()) / n - mean**2
        else:
            array = values.numpy().astype(np.float64)
            mean, variance = float(array.mean()), float(array.var())
        means.append(mean)
        spread = max(variance, 0.0) ** 0.5
        deviations.append(spread if spread > 1e-9 * max(1.0, abs(mean)) else 1.0)
    return tuple(means), tuple(deviations)
