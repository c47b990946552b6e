"""Compiled kernels on disk: made once by one process, then only loaded.

numba's own cache can serve stale or half-written code when processes share it or are killed. So
kernels compile for one explicit signature each, under a lock, into a temporary folder that is
renamed when all of them are in it. The folder's name is a hash of whatever the code depends on: the
code of all kernels, Python, numba, llvmlite, the processor and its features, the vector width. A
file that is not what it was when written (its SHA-256 stands first) condemns the folder, which is
made again. Files are pickles, numba's only format: a folder that anyone but the user could have
written is refused.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import platform
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import compiler, registry, serialize

from winnow.files import cache_folder, sync_folder, whole_folder, write_whole
from winnow.kernels import simd
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.sources import KERNEL_FOLDERS, code_hash
from winnow.kernels.together import SharedList
from winnow.locks import lock_when_free

_log = logging.getLogger(__name__)
_DIGEST = hashlib.sha256().digest_size


def prepare(
    group: str,
    entries: Sequence[EntryPoint],
    cache: Path | None = None,
    sources: Sequence[Path] = KERNEL_FOLDERS,
) -> None:
    """Load the kernels of a group from the cache, after compiling them where nobody has yet.

    ``cache``: the folder of caches (default: the user's, see `winnow.files.cache_folder`).
    ``sources``: the folders whose ``.py`` files make the kernels. Afterwards the kernels run for
    these types and raise TypeError for any other: nothing compiles behind one's back.
    """
    if all(map(_is_ready, entries)):
        return
    folder = _folder_of(group, cache, sources)
    if not _load(folder, entries):
        with _locked(folder) as writable:
            if not writable:
                _compile(entries)
            elif not _load(folder, entries):
                try:
                    _compile_into(folder, entries)
                except OSError as error:
                    _log.warning(
                        "%s cannot be written (%s): compiled for this process", folder, error
                    )
                    _compile(entries)
    for entry in entries:
        _dispatcher(entry).disable_compile()


def is_compiled(
    group: str,
    entries: Sequence[EntryPoint],
    cache: Path | None = None,
    sources: Sequence[Path] = KERNEL_FOLDERS,
) -> bool:
    """Whether `prepare` would only load the kernels of a group: nothing is loaded or compiled."""
    folder = _folder_of(group, cache, sources)
    return all(_is_ready(entry) or _file(folder, entry).exists() for entry in entries)


def _folder_of(group: str, cache: Path | None, sources: Sequence[Path]) -> Path:
    return cache_folder(cache) / "kernels" / f"{group}-{key(sources)[:16]}"


def key(sources: Sequence[Path] = KERNEL_FOLDERS) -> str:
    """What compiled code depends on, as a hash (hex)."""
    target = registry.cpu_target.target_context.codegen().magic_tuple()
    digest = hashlib.sha256()
    about = (platform.python_version(), numba.__version__, llvmlite.__version__, target, simd.W)
    digest.update(repr(about).encode())
    digest.update(code_hash(sources).encode())
    return digest.hexdigest()


# ---- compiling


def _dispatcher(entry: EntryPoint) -> Any:
    return entry.kernel


def _anew(entry: EntryPoint) -> EntryPoint:
    """The kernel, not ready: what was loaded for another group cannot be written again."""
    return replace(entry, kernel=kernel(_dispatcher(entry).py_func))


def _is_ready(entry: EntryPoint) -> bool:
    return entry.arguments in _dispatcher(entry).overloads


def _compile(entries: Sequence[EntryPoint]) -> None:
    """Compile what is not ready: kernels of another group may be, and compile no more."""
    for entry in entries:
        if not _is_ready(entry):
            _dispatcher(entry).disable_compile(False)
            _dispatcher(entry).compile(entry.arguments)


def _compile_into(folder: Path, entries: Sequence[EntryPoint]) -> None:
    """Compile and write a whole folder, with what is ready too. The caller holds its lock."""
    shutil.rmtree(folder, ignore_errors=True)
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with whole_folder(folder) as temporary:
        temporary.chmod(0o700)
        _fill(temporary, entries)
    sync_folder(folder.parent)


def _fill(folder: Path, entries: Sequence[EntryPoint]) -> None:
    """Compile and write all files of a folder, with other processes where there are cores."""
    with SharedList(entries, key()) as together:
        while (taken := together.take()) is not None:
            write_whole(_file(folder, taken), compiled_file(taken))
    for entry in entries:
        if entry.name in together.made:
            data = together.made[entry.name]
            write_whole(_file(folder, entry), data)
            if not _is_ready(entry):
                _install(entry, _checked(data, f"{entry.name}, compiled in another process,"))


def compiled_file(entry: EntryPoint) -> bytes:
    """What the file of a kernel holds, which is compiled for it unless it just was."""
    _log.info("compiling %s for this machine, once", entry.name)
    made = _anew(entry) if _is_ready(entry) else entry
    _compile([made])
    return _packed(made)


def _file(folder: Path, entry: EntryPoint) -> Path:
    return folder / f"{entry.name}.kernel"


def _packed(entry: EntryPoint) -> bytes:
    result = _dispatcher(entry).overloads[entry.arguments]
    data: bytes = serialize.dumps(result._reduce())  # type: ignore[no-untyped-call]
    return hashlib.sha256(data).digest() + data


# ---- loading


def _load(folder: Path, entries: Sequence[EntryPoint]) -> bool:
    """Whether a folder holds all entries, and those that were not ready could be loaded from it.

    If not, none of them has been.
    """
    try:
        packed = [_verified(_file(folder, entry)) for entry in entries]
    except OSError:  # not there, or not to be read: the lock will tell
        return False
    except _DamagedError as error:
        _log.warning("%s: kernels are compiled again", error)
        return False
    for entry, data in zip(entries, packed, strict=True):
        if not _is_ready(entry):
            _install(entry, data)
    return True


class _DamagedError(Exception):
    """A kernel file is not what was written, or might not be."""


def _verified(path: Path) -> bytes:
    data = path.read_bytes()
    if not _is_private(path.parent):
        raise _DamagedError(f"{path.parent} can be written by other users")
    return _checked(data, str(path))


def _checked(data: bytes, name: str) -> bytes:
    """The kernel in a file's bytes."""
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        raise _DamagedError(f"{name} is damaged")
    return data[_DIGEST:]


def _is_private(path: Path) -> bool:
    about = path.stat()
    if not hasattr(os, "getuid"):  # Windows: folders of the user are the user's
        return True
    return about.st_uid == os.getuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _install(entry: EntryPoint, data: bytes) -> None:
    """Give the kernel its compiled code, as numba does with what its own cache finds."""
    dispatcher = _dispatcher(entry)
    context = dispatcher.targetctx
    context.refresh()
    rebuild: Any = compiler.CompileResult._rebuild
    result = rebuild(context, *pickle.loads(data))
    context.insert_user_function(result.entry_point, result.fndesc, [result.library])
    dispatcher.add_overload(result)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; False, and no lock, where the cache cannot be written."""
    lock = ExitStack()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.parent.chmod(0o700)
        lock.enter_context(
            lock_when_free(folder.with_name(f".{folder.name}.lock"), "a kernel's compiler")
        )
    except OSError as error:
        lock.close()
        _log.warning("%s cannot be used (%s): kernels stay in memory", folder, error)
        yield False
        return
    try:
        yield True
    finally:
        lock.close()
