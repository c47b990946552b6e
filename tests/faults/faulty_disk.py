"""A disk that fails: every call that changes files below a folder may, and may lose what it had.

It stands in for the calls of `os` that writing files comes down to. What goes around them (a write
through `io`) is not seen here: `test_one_door` holds that the store's writers do not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest


class PowerLossError(BaseException):
    """The machine is off, or the process killed: nothing after it is carried out."""


FAULTS = ("full", "read-only", "broken", "no rename", "short", "kill", "power")
_ERRORS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "broken": errno.EIO}
_REAL = {
    name: getattr(os, name)
    for name in ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink")
}


class FaultyDisk:
    """The files below ``root``.

    ``fault``: of `FAULTS`, at the call numbered ``at`` of those that change something, from 0, and
    for ``lasting`` calls. ``full``, ``read-only`` and ``broken`` are errors; ``no rename`` is one
    of renames; ``short`` makes writes take a byte; ``kill`` is the end; ``power`` too, and what
    was not made durable by then is lost, or a part of it, as ``draw`` decides.
    """

    def __init__(self, root: Path, fault: str, at: int, lasting: int, draw: random.Random) -> None:
        self.root, self.fault, self.at, self.lasting, self.draw = root, fault, at, lasting, draw
        self.calls = 0
        self.struck = 0
        self.dead = False
        self.seen: Counter[str] = Counter()
        self._paths: dict[int, Path] = {}  # of open files
        self._unsynced: dict[int, None] = {}  # inodes whose content is not durable
        self._names: list[tuple[Path, str, Path, object]] = []  # changes of names since a sync

    @contextlib.contextmanager
    def in_use(self):
        """All calls go through it."""
        with pytest.MonkeyPatch.context() as patch:
            for name in _REAL:
                patch.setattr(os, name, getattr(self, f"_{name}"))
            yield self

    def lose_power(self) -> None:
        """Let go what was not durable; to be called when the calls have ended."""
        if self.fault != "power" or not self.dead:
            return
        self._lose_content()
        kept: dict[Path, int] = {}
        for folder in dict.fromkeys(folder for folder, *_ in self._names):
            count = sum(one[0] == folder for one in self._names)
            kept[folder] = self.draw.randint(0, count)
        numbered: Counter[Path] = Counter()
        undone = []
        for change in self._names:
            numbered[change[0]] += 1
            if numbered[change[0]] > kept[change[0]]:
                undone.append(change)
        for _, kind, path, more in reversed(undone):
            with contextlib.suppress(OSError):
                _undo(kind, path, more)

    def _lose_content(self) -> None:
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and path.stat().st_ino in self._unsynced:
                data = path.read_bytes()
                rest = data[: self.draw.randint(0, len(data))]
                zeros = bytes(self.draw.choice((0, len(data) - len(rest))))
                path.write_bytes(rest + zeros)

    def _strike(self, kind: str, path: object) -> None:
        """Count a call, and fail if it is its turn."""
        if self.dead:
            raise PowerLossError
        self.seen[kind] += 1
        turn = self.at <= self.calls < self.at + self.lasting
        if self.fault == "no rename":
            turn = self.calls >= self.at and self.struck < self.lasting and kind == "rename"
        self.calls += 1
        if not turn or self.fault == "short":
            return
        self.struck += 1
        if self.fault in ("kill", "power"):
            self.dead = True
            raise PowerLossError
        code = _ERRORS.get(self.fault, errno.EIO)
        raise OSError(code, os.strerror(code), str(path))

    def _is_mine(self, path: object, more: dict[str, object]) -> bool:
        if isinstance(path, int) or any(v is not None for v in more.values()):
            return False  # by a descriptor of a folder: what shutil.rmtree does
        return Path(os.fsdecode(path)).is_relative_to(self.root)  # type: ignore[arg-type]

    def _open(self, path, flags, mode=0o777, **more):
        mine = self._is_mine(path, more)
        path = Path(os.fsdecode(path)) if mine else path
        new = mine and flags & os.O_CREAT and not path.exists()
        if new:
            self._strike("create", path)
        descriptor = _REAL["open"](path, flags, mode, **more)
        if mine:
            self._paths[descriptor] = path
        if new:
            self._unsynced[os.fstat(descriptor).st_ino] = None
            self._names.append((path.parent, "create", path, None))
        return descriptor

    def _write(self, descriptor, data):
        path = self._mine_open(descriptor)
        if path is None:
            return _REAL["write"](descriptor, data)
        self._strike("write", path)
        self._unsynced[os.fstat(descriptor).st_ino] = None
        short = self.fault == "short" and self.at < self.calls <= self.at + self.lasting
        self.struck += short
        return _REAL["write"](descriptor, memoryview(data)[:1] if short else data)

    def _fsync(self, descriptor):
        path = self._mine_open(descriptor)
        if path is None:
            return
        self._strike("sync", path)
        if path.is_dir():
            self._names = [one for one in self._names if one[0] != path]
        self._unsynced.pop(os.fstat(descriptor).st_ino, None)

    def _mine_open(self, descriptor: int) -> Path | None:
        """What is open by that number now, if it is below the root."""
        path = self._paths.get(descriptor)
        try:
            now = Path(f"/proc/self/fd/{descriptor}").readlink()
        except OSError:
            return path
        return path if path is not None and now.is_relative_to(self.root) else None

    def _replace(self, source, target, **more):
        self._change_name("replace", source, target, more)

    def _rename(self, source, target, **more):
        self._change_name("rename", source, target, more)

    def _change_name(self, call: str, source, target, more) -> None:
        if not self._is_mine(target, more):
            _REAL[call](source, target, **more)
            return
        source, target = Path(source), Path(target)
        self._strike("rename", target)
        before = target.read_bytes() if target.is_file() else None
        _REAL[call](source, target)
        self._names.append((target.parent, "rename", target, (source, before)))

    def _mkdir(self, path, mode=0o777, **more):
        mine = self._is_mine(path, more)
        if mine:
            self._strike("mkdir", path)
        _REAL["mkdir"](path, mode, **more)
        if mine:
            self._names.append((Path(path).parent, "mkdir", Path(path), None))

    def _unlink(self, path, **more):
        if self.dead:
            raise PowerLossError
        if not self._is_mine(path, more):
            _REAL["unlink"](path, **more)
            return
        path = Path(path)
        if path.exists():
            self._strike("unlink", path)
            before = path.read_bytes()
        _REAL["unlink"](path)
        self._names.append((path.parent, "unlink", path, before))


def _undo(kind: str, path: Path, more) -> None:
    if kind == "create":
        _REAL["unlink"](path)
    elif kind == "mkdir":
        shutil.rmtree(path)
    elif kind == "unlink":
        path.write_bytes(more)
    else:
        source, before = more
        if source.parent.is_dir():
            _REAL["rename"](path, source)
        if before is not None:
            path.write_bytes(before)
