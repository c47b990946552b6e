"""The kernel cache under processes that race, are killed, or find damage."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_kernel import fresh_entry, result_of

from winnow.kernels import cache

TOY = Path(__file__).with_name("toy_kernel.py")


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "kernel.py").write_text("VERSION = 1\n")
    return folder


@pytest.fixture
def kernels(tmp_path):
    return tmp_path / "cache" / "kernels"


def launch(kernels: Path, sources: Path, *how: str) -> subprocess.Popen[str]:
    """The toy in a process of its own."""
    command = [sys.executable, str(TOY), str(kernels.parent), str(sources), *how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.strip()


@pytest.fixture
def compiles(kernels, sources, monkeypatch):
    """Prepares a fresh toy, checks that it works and gives how often it was compiled."""
    compiled: list[int] = []
    usual = cache._compile
    monkeypatch.setattr(cache, "_compile", lambda e: (compiled.append(1), usual(e))[1])

    def prepare() -> int:
        compiled.clear()
        entry = fresh_entry()
        cache.prepare("toy", [entry], kernels.parent, [sources])
        assert result_of(entry) == 4
        return len(compiled)

    return prepare


def folders(kernels: Path) -> list[Path]:
    return sorted(p for p in kernels.iterdir() if p.is_dir())


def test_compiled_once_then_loaded(compiles):
    assert [compiles(), compiles(), compiles()] == [1, 0, 0]


def test_what_is_compiled_is_known_without_compiling_or_loading(kernels, sources, compiles):
    entry = fresh_entry()
    toy = ("toy", [entry], kernels.parent, [sources])
    assert not cache.is_compiled(*toy)
    assert not kernels.exists()
    compiles()
    assert cache.is_compiled(*toy)
    assert entry.arguments not in entry.kernel.overloads
    (sources / "kernel.py").write_text("VERSION = 2\n")
    assert not cache.is_compiled(*toy)


def test_a_prepared_kernel_compiles_for_nothing_else(kernels, sources):
    entry = fresh_entry()
    cache.prepare("toy", [entry], kernels.parent, [sources])
    cache.prepare("toy", [entry], kernels.parent, [sources])
    with pytest.raises(TypeError):
        entry.kernel(np.zeros(1))


@pytest.mark.parametrize("how", ["compiled", "loaded"])
def test_a_folder_holds_all_of_its_group_whatever_other_groups_share(kernels, sources, how):
    """A kernel that another group has brought to this process already."""
    there = kernels.parent, [sources]
    if how == "loaded":
        cache.prepare("first", [fresh_entry("shared")], *there)
    both = [fresh_entry("shared"), fresh_entry("own")]
    cache.prepare("first", both[:1], *there)
    cache.prepare("second", both, *there)
    assert [result_of(entry) for entry in both] == [4, 4]
    (folder,) = kernels.glob("second-*")
    assert sorted(path.stem for path in folder.iterdir()) == ["own", "shared"]
    again = [fresh_entry("shared"), fresh_entry("own")]
    assert cache._load(folder, again)
    assert [result_of(entry) for entry in again] == [4, 4]


def test_a_folder_that_lacks_a_kernel_is_made_again(kernels, sources, compiles):
    compiles()
    (path,) = kernels.glob("toy-*/*.kernel")
    shared, own = fresh_entry(), fresh_entry("own")
    cache.prepare("other", [shared], kernels.parent, [sources])
    cache.prepare("toy", [shared, own], kernels.parent, [sources])
    assert sorted(p.stem for p in path.parent.iterdir()) == ["own", "plus_one"]


def test_of_two_processes_at_once_one_compiles(kernels, sources):
    both = [launch(kernels, sources), launch(kernels, sources)]
    assert sorted(outcome(process) for process in both) == ["0 4", "1 4"]


def test_a_killed_compile_leaves_nothing_that_could_be_loaded(kernels, sources, compiles):
    process = launch(kernels, sources, "hang")
    assert process.stdout.readline() == "compiled\n"
    (temporary,) = folders(kernels)
    process.kill()
    process.communicate()
    assert temporary.name.endswith(".tmp")
    assert [compiles(), compiles()] == [1, 0]
    (whole,) = folders(kernels)
    assert not whole.name.endswith(".tmp")


def test_changed_sources_take_a_new_folder_and_leave_the_old_one(kernels, sources, compiles):
    compiles()
    (old,) = folders(kernels)
    (sources / "kernel.py").write_text("VERSION = 2\n")
    assert [compiles(), compiles()] == [1, 0]
    assert old in folders(kernels)
    assert len(folders(kernels)) == 2


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
def test_a_damaged_file_is_made_again(kernels, compiles, caplog, harm):
    compiles()
    (path,) = kernels.glob("toy-*/*.kernel")
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"flip": flipped, "cut": whole[:middle]}.get(harm, b""))
    if harm == "remove":
        path.unlink()
    assert [compiles(), compiles()] == [1, 0]
    assert (f"{path} is damaged" in caplog.text) == (harm != "remove")


def test_a_folder_that_others_could_have_written_is_not_loaded(kernels, compiles, caplog):
    compiles()
    (folder,) = folders(kernels)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    assert [compiles(), compiles()] == [1, 0]
    assert "can be written by other users" in caplog.text
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_cache_folder_kernels_stay_in_memory(kernels, compiles, caplog):
    kernels.parent.write_text("a file where a folder should be")
    assert [compiles(), compiles()] == [1, 1]
    assert "kernels stay in memory" in caplog.text
