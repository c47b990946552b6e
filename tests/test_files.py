"""Where files lie that are made once on a machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from winnow.files import cache_folder


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "xdg/winnow"),
        ("darwin", "Library/Caches/winnow"),
        ("win32", "local/winnow"),
    ],
)
def test_the_cache_lies_where_the_system_has_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, expected: str
) -> None:
    monkeypatch.delenv("WINNOW_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / expected


def test_the_cache_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"
    assert cache_folder(str(tmp_path / "given")) == tmp_path / "given"
