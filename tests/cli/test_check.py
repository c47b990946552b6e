"""``winnow check``: reads every byte, names and sets aside what is damaged, and no more."""

from __future__ import annotations

import json
import shutil

import pytest
from command_line import folders, refused, winnow

from winnow.files import cache_folder

pytestmark = pytest.mark.usefixtures("own_environment")


@pytest.fixture
def place(store, tmp_path):
    """A copy of the finished store."""
    return shutil.copytree(store, tmp_path / "runs", symlinks=True)


def flip(path, at=-3):
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    path.write_bytes(data)


def content(store):
    return {
        path.relative_to(store): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_a_whole_store_is_left_as_it_is(place):
    before = content(place)
    for options in ([], ["--read-data"]):
        code, out, err = winnow("check", "--store", place, *options)
        assert (code, err) == (0, "")
        assert "3 runs" in out
        assert "0 damaged" in out
    assert content(place) == before


@pytest.mark.parametrize(
    "file",
    [
        "final.safetensors",
        pytest.param("run.json", marks=pytest.mark.slow),
        pytest.param("result.json", marks=pytest.mark.slow),
    ],
)
def test_a_flip_is_found_and_the_run_alone_trained_again(place, recipe, file):
    dense = next(n for n in folders(place) if "dense" in n)
    children = [n for n in folders(place) if n != dense]
    expected = content(place / "runs" / dense)
    kept = {name: content(place / "runs" / name) for name in children}
    flip(place / "runs" / dense / file)
    code, out, err = winnow("check", "--store", place)
    assert code == 1
    assert f"damaged: {place / 'runs' / dense}" in err
    assert "1 damaged" in out
    assert folders(place) == children
    assert [p.name.startswith(dense) for p in (place / "damaged").iterdir()] == [True]
    assert winnow("check", "--store", place).code == 0
    assert winnow("run", recipe, "--store", place, "--jobs", 1).code == 0
    assert {name: content(place / "runs" / name) for name in children} == kept
    again = content(place / "runs" / dense)
    states = [path for path in expected if path.suffix == ".safetensors"]
    assert states
    assert all(again[path] == expected[path] for path in states)


@pytest.mark.parametrize(
    "found", ["experiments/*", "sources/digits.json", "reports/*/rows.parquet", "store.json"]
)
def test_whatever_else_is_damaged_is_found(place, found):
    (path,) = place.glob(found)
    flip(path / "experiment.json" if path.is_dir() else path, at=-30)
    code, _, err = winnow("check", "--store", place)
    assert code == 1
    assert f"damaged: {path}" in err
    code, out, err = winnow("check", "--store", place)
    assert (code, err) == (0, "")
    assert "3 runs" in out


def test_a_state_cut_off_a_lost_one_and_a_foreign_folder(place):
    first, second, third = folders(place)
    state = place / "runs" / first / "final.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    (place / "runs" / second / "final.safetensors").unlink()
    (place / "runs" / third).rename(place / "runs" / "another-name")
    code, out, _ = winnow("check", "--store", place)
    assert code == 1
    assert "3 damaged" in out
    assert folders(place) == []


def test_a_damaged_checkpoint_and_copied_files(place):
    given = ["weights/cd.safetensors", "weights/cd.mask.safetensors"]
    copied = ["recipes/a-12345678.yaml", "own/0123456789abcdef.py"]
    for name in ("checkpoints/ab.safetensors", *given, *copied):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"x")
    code, out, err = winnow("check", "--store", place)
    assert code == 1
    assert "5 damaged" in out
    assert len(err.splitlines()) == 5


def test_a_store_that_cannot_be_written_is_checked_too(place, monkeypatch):
    dense = next(n for n in folders(place) if "dense" in n)
    flip(place / "runs" / dense / "final.safetensors")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    code, _, err = winnow("check", "--store", place)
    assert code == 1
    assert "It stays where it is" in err


def test_runs_of_before_digests_are_counted(place):
    dense = next(n for n in folders(place) if "dense" in n)
    file = place / "runs" / dense / "run.json"
    plain = json.loads(file.read_text())
    del plain["digest"]
    file.write_text(json.dumps(plain))
    code, out, _ = winnow("check", "--store", place)
    assert code == 0
    assert "1 of the runs have no digest" in out


def test_the_images_that_this_machine_keeps_are_read(place):
    (images,) = (cache_folder() / "data").glob("digits-*.safetensors")
    whole = images.read_bytes()
    flip(images)
    try:
        assert winnow("check", "--store", place).code == 0
        code, _, err = winnow("check", "--store", place, "--read-data")
        assert code == 1
        assert str(images) in err
        assert not images.exists()
    finally:
        images.write_bytes(whole)


def test_no_store_is_bad_input(tmp_path):
    refused(winnow("check", "--store", tmp_path / "none"), "there is no store")
    (tmp_path / "other").mkdir()
    refused(winnow("check", "--store", tmp_path / "other"), "a store?")
    assert list((tmp_path / "other").iterdir()) == []
