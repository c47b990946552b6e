"""Decoded datasets on disk: one safetensors file each, verified whenever it is loaded."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from winnow import files
from winnow.data.images import ARRAYS, Arrays, content_hash
from winnow.digest import digest_of
from winnow.locks import lock_when_free

_log = logging.getLogger(__name__)
_KEYS = ("format", "key", "content", "source")  # of a header, and its digest
_FORMAT = "winnow images 1"  # raised when the decoding or the layout changes

Read = Callable[[Path], tuple[Arrays, str]]  # scratch folder -> arrays, where they came from


def path_of(cache: Path, name: str, key: str) -> Path:
    """The file for the dataset ``name`` whose source has the content ``key`` (hex)."""
    return cache / "data" / f"{name}-{key[:16]}.safetensors"


def known_content(path: Path, key: str) -> str | None:
    """The content hash that the file records, read from its header alone; None without one."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    if metadata.get("key") != key or _fault(metadata):
        return None
    return metadata.get("content")


def through(path: Path, key: str, read: Read) -> tuple[Arrays, str, str]:
    """The arrays, their content hash and source, from ``path`` or else from ``read``.

    Among several processes one decodes and the others wait for its file. A damaged file is
    named in a warning, renamed to ``*.damaged`` and made again. Where the cache cannot be
    written, a warning says so and the dataset is decoded for this process alone.
    """
    with contextlib.suppress(_DamagedError):
        if path.exists():
            return _load(path, key)
    with _locked(path) as scratch:
        with contextlib.suppress(_DamagedError):
            if path.exists():
                return _load(path, key, set_aside=True)
        arrays, source = read(scratch)
        content = content_hash(arrays)
        metadata = {"format": _FORMAT, "key": key, "content": content, "source": source}
        metadata["digest"] = digest_of({}, metadata)
        _save(path, arrays, metadata, scratch)
    return arrays, content, source


class _DamagedError(Exception):
    """The cache file is not what it says."""


def _load(path: Path, key: str, *, set_aside: bool = False) -> tuple[Arrays, str, str]:
    try:
        return _verified(path, key)
    except FileNotFoundError as error:  # another process has just set it aside
        raise _DamagedError from error
    except _DamagedError as error:
        if set_aside:
            _log.warning("%s", set_aside_cached(path, str(error)))
        raise


def damage_of(path: Path) -> str | None:
    """What is wrong with a file of the cache; None if it is as it was written, or is gone."""
    try:
        _verified(path, None)
    except FileNotFoundError:
        return None
    except (_DamagedError, OSError) as error:
        return str(error)
    return None


def set_aside_cached(path: Path, why: str) -> str:
    """Rename a damaged file, so that it is made again; what is to be said of it. Raises OSError."""
    aside = path.with_name(path.name + ".damaged")
    path.replace(aside)
    return f"{path}: {why}; renamed to {aside.name} and made again"


def _verified(path: Path, key: str | None) -> tuple[Arrays, str, str]:
    """The file's arrays, after all their bytes are checked against the recorded hash.

    ``key``: of its source; None for the one that its header and its name say.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            arrays: Arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _DamagedError(f"not a whole safetensors file ({error})") from error
    told = metadata.get("key", "")
    if key not in (None, told) or not path.stem.endswith(f"-{told[:16]}"):
        raise _DamagedError("its header is of another dataset")
    if fault := _fault(metadata):
        raise _DamagedError(fault)
    if set(arrays) != set(ARRAYS) or content_hash(arrays) != metadata.get("content"):
        raise _DamagedError("its content is not what its header records")
    return arrays, metadata["content"], metadata["source"]


def _fault(metadata: Mapping[str, str]) -> str | None:
    """What is wrong with a header, None for one that is as it was written.

    One of before digests has the four other keys, and its source is not vouched for.
    """
    if metadata.get("format") != _FORMAT:
        return "its header is of another format"
    said = {key: metadata[key] for key in _KEYS if key in metadata}
    rest = metadata.keys() - set(_KEYS)
    if len(said) < len(_KEYS) or not rest <= {"digest"}:
        return "its header lacks a key, or has a strange one"
    if rest and metadata["digest"] != digest_of({}, said):
        return "its header does not match its digest"
    return None


def _save(path: Path, arrays: Arrays, metadata: dict[str, str], scratch: Path) -> None:
    """Write to the scratch folder, which is beside ``path``, then rename."""
    from safetensors.torch import save_file

    if scratch.parent != path.parent:  # the cache is not writable: _locked has said so
        return
    temporary = scratch / "images.safetensors"
    try:
        save_file({name: x.contiguous() for name, x in arrays.items()}, temporary, metadata)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        files.sync_folder(path.parent)
    except OSError as error:
        _log.warning("%s cannot be written (%s); the dataset stays uncached", path, error)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the file's lock and give an empty scratch folder beside it, removed afterwards.

    Without write access: no lock, and a scratch folder among the system's temporary files.
    """
    lock = contextlib.ExitStack()
    scratch = path.with_name(f".{path.name}.scratch")
    try:
        files.make_folder(path.parent)
        lock.enter_context(
            lock_when_free(path.with_name(f".{path.name}.lock"), f"data {path.stem}")
        )
        shutil.rmtree(scratch, ignore_errors=True)  # left by a process that was killed
        scratch.mkdir()
    except OSError as error:
        lock.close()
        _log.warning("the cache folder %s cannot be used (%s)", path.parent, error)
        with _temporary() as elsewhere:
            yield elsewhere
        return
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.close()


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="winnow-") as name:
        yield Path(name)
