"""Data is read from the files that were named: no place is a pattern, no cache is of another."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
from image_folders import png, random_pixels, write_parquet

from winnow import data
from winnow.data import file_hash, local
from winnow.data.own import load_own_data
from winnow.errors import UserError

PLACES = [
    ("set[1]", "set1"),
    ("x?", "xy"),
    ("a*", "ab"),
    ("**", "q"),
    ("{a,b}", "a"),
    ("[!a]", "b"),
    ("[red]x[/]", "x"),
    ("a::b", "a"),
    ("zip::file:", "a"),
    ("%s {0} $HOME", "a"),
    ("~", "a"),
    (" a\nb\t", "a b"),
    ("back\\slash", "backslash"),
    ("ü ñ 数", "a"),
]


def write(folder: Path, seed: int) -> np.ndarray:
    """A small MNIST; its training images."""
    for split, count in (("train", 4), ("test", 3)):
        pixels = random_pixels(seed, count, (1, 28, 28))
        encoded = [png(one) for one in pixels]
        write_parquet(folder / "data" / f"{split}-0.parquet", encoded, list(range(count)))
    return random_pixels(seed, 4, (1, 28, 28))


def load(root: Path, cache: Path) -> np.ndarray:
    return data.load_images("mnist", root=root, cache=cache, online=False).train_x[:, 0].numpy()


@pytest.mark.parametrize(("name", "other"), PLACES)
def test_a_place_is_a_name_and_no_pattern(tmp_path, name, other):
    wanted = write(tmp_path / name / "mnist", 1)
    write(tmp_path / other / "mnist", 2)
    cache = tmp_path / f"cache {name}"
    for _ in ("decoded", "from the cache"):
        np.testing.assert_array_equal(load(tmp_path / name, cache), wanted)


@pytest.mark.parametrize("name", ["train[1].parquet", "train*.parquet", "train?::{}.parquet"])
def test_a_file_is_a_name_and_no_pattern(tmp_path, name):
    wanted = write(tmp_path / "mnist", 1)
    (tmp_path / "mnist" / "data" / "train-0.parquet").rename(tmp_path / "mnist" / name)
    np.testing.assert_array_equal(load(tmp_path, tmp_path / "cache"), wanted)


def test_what_an_earlier_version_has_cached_of_other_files_is_not_used(tmp_path):
    """It named the cache by the right files' bytes, and put in it what a pattern had found."""
    wanted = write(tmp_path / "mnist", 1)
    digest = hashlib.sha256()
    for split in ("train", "test"):
        blob = (tmp_path / "mnist" / "data" / f"{split}-0.parquet").read_bytes()
        digest.update(f"{split} {hashlib.sha256(blob).hexdigest()};".encode())
    key = digest.hexdigest()
    write(tmp_path / "other" / "mnist", 2)
    other = data.load_images("mnist", root=tmp_path / "other", cache=tmp_path / "c", online=False)
    arrays = {name: getattr(other, name) for name in ("train_x", "train_y", "test_x", "test_y")}
    about = {"format": "winnow images 1", "key": key, "content": other.content, "source": ""}
    poisoned = tmp_path / "cache" / "data" / f"mnist-{key[:16]}.safetensors"
    poisoned.parent.mkdir(parents=True)
    safetensors.torch.save_file(arrays, poisoned, about)
    np.testing.assert_array_equal(load(tmp_path, tmp_path / "cache"), wanted)
    content = data.dataset_content("mnist", root=tmp_path, cache=tmp_path / "cache", online=False)
    assert content != other.content


def test_a_file_that_changes_while_it_is_read_is_not_cached_as_it_was(tmp_path, monkeypatch):
    write(tmp_path / "mnist", 1)
    write(tmp_path / "new", 2)
    read = local.file_bytes

    def changed_before(path: Path) -> tuple[bytes, str]:
        path.write_bytes((tmp_path / "new" / "data" / path.name).read_bytes())
        return read(path)

    monkeypatch.setattr(local, "file_bytes", changed_before)
    with pytest.raises(UserError, match="were changed while they were read: run again"):
        load(tmp_path, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    make_flowers(tmp_path / "flowers", 0)
    return tmp_path / "flowers"


def make_flowers(folder: Path, seed: int) -> None:
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (folder / split / name).mkdir(parents=True)
            (pixels,) = random_pixels(seed, 1, (3, 4, 5))
            (folder / split / name / "0.png").write_bytes(png(pixels))
            seed += 1


def test_an_image_that_changes_while_it_is_read_is_known_by_what_it_was_then(flowers, monkeypatch):
    changing = flowers / "train" / "ant" / "0.png"
    before = changing.read_bytes()
    (pixels,) = random_pixels(99, 1, (3, 4, 5))
    read = file_hash.file_bytes

    def changed_before(path: Path) -> tuple[bytes, str]:
        changing.write_bytes(png(pixels))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr("winnow.data.own_folder.file_bytes", changed_before)
        assert (load_own_data("./flowers").train_x[0].numpy().transpose(1, 2, 0) == pixels).all()
    changing.write_bytes(before)
    assert not (load_own_data("./flowers").train_x[0].numpy().transpose(1, 2, 0) == pixels).all()


@pytest.mark.parametrize(("name", "other"), PLACES)
@pytest.mark.usefixtures("flowers")
def test_a_folder_of_images_is_a_name_and_no_pattern(tmp_path, name, other):
    make_flowers(tmp_path / "in" / name, 5)
    make_flowers(tmp_path / "in" / other, 9)
    (pixels,) = random_pixels(5, 1, (3, 4, 5))
    read = load_own_data(f"./in/{name}/").train_x[0].numpy().transpose(1, 2, 0)
    assert (read == pixels).all()
    in_files = load_own_data(f"./in/{name}?files=8")
    assert in_files.train_x.listing.path(0).read_bytes() == png(pixels)


def test_names_of_files_are_not_taken_for_each_other(flowers):
    """Two files, and one whose name says what the key of two said."""
    ant = flowers / "train" / "ant"
    blob = (ant / "0.png").read_bytes()
    (ant / "1.png").write_bytes(blob)
    two = load_own_data("./flowers")
    (ant / "0.png").unlink()
    (ant / "1.png").unlink()
    (ant / f"0.png;0{hashlib.sha256(blob).hexdigest()};1.png").write_bytes(blob)
    one = load_own_data("./flowers")
    assert (len(two.train_y), len(one.train_y)) == (3, 2)


@pytest.mark.usefixtures("flowers")
def test_a_home_of_nobody_is_said():
    with pytest.raises(UserError, match=r"nobody here is called 'no-such-user'.*write \./~no-such"):
        load_own_data("~no-such-user/flowers")


def test_shards_that_are_there_twice_are_refused(tmp_path, monkeypatch):
    """More rows than the dataset has: found before all of them are decoded."""
    write(tmp_path / "mnist", 1)
    known = data.facts("mnist")
    monkeypatch.setattr(
        "winnow.data.loading.facts",
        lambda _: type(known)(**{**vars(known), "train_size": 6, "test_size": 3}),
    )
    load(tmp_path, tmp_path / "cache")
    again = tmp_path / "mnist" / "old" / "train-0.parquet"
    again.parent.mkdir()
    again.write_bytes((tmp_path / "mnist" / "data" / "train-0.parquet").read_bytes())
    with pytest.raises(UserError, match=r"train-0.parquet, row 2: mnist has 6 training and 3 test"):
        load(tmp_path, tmp_path / "cache")
    again.unlink()
    hidden = tmp_path / "mnist" / ".old"
    (tmp_path / "mnist" / "old").rename(hidden)
    write(hidden, 3)
    load(tmp_path, tmp_path / "cache")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_of_shards_that_cannot_be_read_is_not_passed_over(tmp_path):
    write(tmp_path / "mnist", 1)
    closed = tmp_path / "mnist" / "more"
    closed.mkdir(0)
    with pytest.raises(UserError, match="more cannot be read"):
        load(tmp_path, tmp_path / "cache")
    closed.chmod(0o700)


def test_two_columns_of_one_name_are_refused(tmp_path):
    write(tmp_path / "mnist", 1)
    images = pa.array([png(random_pixels(0, 1, (1, 28, 28))[0])])
    table = pa.table([images, pa.array([1]), pa.array([2])], names=["image", "label", "label"])
    pq.write_table(table, tmp_path / "mnist" / "data" / "train-0.parquet")
    with pytest.raises(UserError, match=r"train-0\.parquet: 2 columns are called label"):
        load(tmp_path, tmp_path / "cache")
