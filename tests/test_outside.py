"""Functions outside Winnow: how they are found, known and kept, and what is said if they fail."""

from __future__ import annotations

import hashlib
import random
import sys

import pytest

from winnow.errors import UserError
from winnow.outside import keep_source, load_outside, own_imports, source_of_place, split_place

TEXT = "def make():\n    return 1\n\nclass Made:\n    pass\n\nnumber = 3\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("mine", "winnow_outside")):
            del sys.modules[name]


@pytest.mark.parametrize("written", ["mine:make", "mine.py:make", "./mine.py:make"])
def test_a_function_of_a_module_or_a_file(folder, written):
    (folder / "mine.py").write_text(TEXT)
    path = list(sys.path)
    assert load_outside(written, "the test")() == 1
    assert source_of_place(written, "the test").hash == hashlib.sha256(TEXT.encode()).hexdigest()
    assert sys.path == path


def test_a_class_will_do(folder):
    (folder / "mine.py").write_text(TEXT)
    assert type(load_outside("mine:Made", "the test")()).__name__ == "Made"


def test_an_edited_file_is_loaded_anew_and_an_old_one_is_not_run_twice(folder):
    file = folder / "mine.py"
    file.write_text("import random\nmade = random.random()\ndef make(): return made\n")
    first = load_outside("mine.py:make", "the test")()
    assert load_outside("mine:make", "the test")() == first
    file.write_text("made = 'other'\ndef make(): return made\n")
    assert load_outside("mine.py:make", "the test")() == "other"


def test_a_module_of_a_package_may_import_its_neighbours_and_is_loaded_anew(folder):
    (folder / "mine_pack").mkdir()
    (folder / "mine_pack" / "__init__.py").touch()
    (folder / "mine_pack" / "beside.py").write_text("value = 5\n")
    file = folder / "mine_pack" / "net.py"
    file.write_text("from .beside import value\ndef make(): return value\n")
    assert load_outside("mine_pack.net:make", "the test")() == 5
    file.write_text("from .beside import value\ndef make(): return value + 1  # edited\n")
    assert load_outside("mine_pack.net:make", "the test")() == 6


def test_a_file_may_import_what_is_beside_it(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "mine_beside.py").write_text("value = 7\n")
    (folder / "deep" / "net.py").write_text(
        "from mine_beside import value\ndef make(): return value\n"
    )
    assert load_outside("deep/net.py:make", "the test")() == 7


def test_what_was_planned_outlives_its_file(folder):
    file = folder / "mine.py"
    file.write_text(TEXT)
    planned = source_of_place("mine.py:make", "the test")
    assert keep_source(planned).read_bytes() == TEXT.encode()
    file.write_text(TEXT.replace("return 1", "return 2"))
    assert load_outside("mine.py:make", "the test")() == 2
    assert load_outside("mine.py:make", "the test", planned.hash)() == 1
    file.unlink()
    assert load_outside("mine.py:make", "the test", planned.hash)() == 1
    keep_source(planned).write_text("damaged")
    with pytest.raises(UserError, match="has changed since this experiment was planned"):
        load_outside("mine.py:make", "the test", planned.hash)


def test_the_hash_is_of_the_content_wherever_it_lies(folder):
    rng = random.Random(0)
    for number in range(5):
        text = f"# {rng.random()}\n{TEXT}"
        (folder / f"a{number}.py").write_text(text)
        (folder / f"sub{number}").mkdir()
        (folder / f"sub{number}" / "b.py").write_text(text)
        one = source_of_place(f"a{number}.py:make", "")
        other = source_of_place(f"sub{number}/b.py:make", "")
        assert one.hash == other.hash
    assert len({source_of_place(f"a{n}.py:make", "").hash for n in range(5)}) == 5


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("mine:no such", "is no module:function"),
        ("my mine:make", "is no module:function"),
        ("__main__:make", "put it into a file"),
        ("mine:maker", r"Did you mean 'make'\? mine has Made, make"),
        ("mine.py:number", "is of type int: name a function"),
        ("min.py:make", r"there is no file 'min.py', seen from .*Did you mean 'mine.py'"),
        ("nowhere/min.py:make", "there is no file 'nowhere/min.py'"),
        ("nowhere_at_all:make", "there is no module 'nowhere_at_all' in the current folder"),
        ("mine_bad.py:make", r"importing it failed with ZeroDivisionError: .*mine_bad.py, line 2"),
        ("mine_bad:make", r"importing it failed with ZeroDivisionError: .*mine_bad.py, line 2"),
        ("sys:exit", "has no source file"),
    ],
)
def test_what_cannot_be_found_is_told(folder, written, told):
    (folder / "mine.py").write_text(TEXT)
    (folder / "mine_bad.py").write_text("\n1 / 0\n")
    with pytest.raises(UserError, match=told):
        load_outside(written, "the test")


def test_folders_are_behind_the_path_for_a_while(folder):
    before = list(sys.path)
    with own_imports(folder / "a"):
        assert sys.path == [*before, str(folder / "a"), str(folder)]
    assert sys.path == before


def test_a_place_is_a_file_or_a_module_and_a_function():
    assert split_place("a/b.py:f", "") == ("a/b.py", "f")
    assert split_place("a.b:f", "") == ("a.b", "f")
