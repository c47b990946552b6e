"""A folder of one's own images: decoded once, known by its pixels, every fault with its file."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from winnow.data import own, own_folder
from winnow.data.folder import FolderImages
from winnow.data.images import Images
from winnow.data.own import known_data, load_own_data
from winnow.errors import UserError

image = pytest.importorskip("PIL.Image")
CLASSES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def flowers(tmp_path, monkeypatch):
    """A folder of 3 x (4 + 2) images of 5x4 pixels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in CLASSES:
            (tmp_path / "flowers" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
                path = tmp_path / "flowers" / split / name / f"{number}.png"
                image.fromarray(pixels).save(path)
    return tmp_path / "flowers"


def pixels(path):
    return torch.from_numpy(np.array(image.open(path).convert("RGB")).transpose(2, 0, 1).copy())


def test_images_are_in_memory_by_class_and_name(flowers):
    images = load_own_data("./flowers")
    assert isinstance(images, Images)
    assert images.train_x.shape == (12, 3, 4, 5)
    assert images.train_y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert images.test_y.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(images.train_x[6], pixels(flowers / "train" / "bee" / "2.png"))
    assert torch.equal(images.test_x[5], pixels(flowers / "test" / "cat" / "1.png"))


def test_they_are_decoded_once_and_known_by_content_wherever_they_lie(flowers, monkeypatch):
    content = load_own_data("./flowers").content
    flowers.rename(flowers.with_name("moved"))
    monkeypatch.setattr(own, "decoded", None)  # would fail if it were called
    assert load_own_data("./moved").content == content


def test_a_changed_pixel_of_any_file_is_other_data(flowers):
    content = load_own_data("./flowers").content
    path = flowers / "test" / "cat" / "0.png"
    changed = np.array(image.open(path))
    changed[0, 0, 0] ^= 1
    image.fromarray(changed).save(path)
    assert load_own_data("./flowers").content != content


def test_grey_images_have_one_channel(flowers):
    for path in flowers.rglob("*.png"):
        image.open(path).convert("L").save(path)
    assert load_own_data("./flowers").train_x.shape == (12, 1, 4, 5)
    path = flowers / "train" / "ant" / "0.png"
    image.open(path).convert("RGB").save(path)
    assert load_own_data("./flowers").train_x.shape == (12, 3, 4, 5)


def test_with_a_size_they_stay_in_files_of_any_size(flowers):
    image.new("RGB", (30, 20), (200, 10, 10)).save(flowers / "train" / "ant" / "0.png")
    images = load_own_data("./flowers?files=8")
    assert isinstance(images, FolderImages)
    about = known_data("./flowers?files=8")
    assert about.in_files
    assert about.inputs() == (3, 8, 8)
    read = images.train_x.read(np.array([0]))
    assert read.shape == (1, 3, 8, 8)
    assert torch.equal(read[0, :, 0, 0], torch.tensor([200, 10, 10], dtype=torch.uint8))


def spoil(flowers, how):
    first, last = flowers / "train" / "ant" / "0.png", flowers / "test" / "cat" / "1.png"
    if how == "size":
        image.new("RGB", (6, 4)).save(last)
    elif how == "damaged":
        last.write_bytes(last.read_bytes()[:40])
    elif how == "16 bits":
        image.new("I;16", (5, 4)).save(first)
    elif how == "empty":
        shutil.rmtree(flowers / "train" / "bee")
        (flowers / "train" / "bee").mkdir()
    elif how == "class":
        shutil.rmtree(flowers / "test" / "bee")
    elif how == "no test":
        shutil.rmtree(flowers / "test")
    elif how == "no train":
        shutil.rmtree(flowers / "train")
    elif how == "one":
        for split in ("train", "test"):
            for name in CLASSES[1:]:
                shutil.rmtree(flowers / split / name)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("size", r"test/cat/1.png has 6x4 pixels, and .*train/ant/0.png 5x4: .*data.size"),
        ("damaged", r"test/cat/1.png cannot be decoded"),
        ("16 bits", r"train/ant/0.png is in mode I;16"),
        ("empty", r"train/bee has no image"),
        ("class", r"only one of them has bee"),
        ("no test", r"has no test split: put images .* into .*test/CLASS"),
        ("no train", r"has no folder train"),
        ("one", r"train has one class"),
    ],
)
def test_every_fault_names_its_file(flowers, how, told):
    spoil(flowers, how)
    with pytest.raises(UserError, match=told):
        load_own_data("./flowers")


def test_a_folder_that_is_not_there():
    with pytest.raises(UserError, match=r"no such folder, seen from .*Did you mean 'flowers'"):
        load_own_data("./flower")


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_test_images_may_be_called_otherwise(flowers, name):
    content = load_own_data("./flowers").content
    (flowers / "test").rename(flowers / name)
    assert own_folder.folder_splits(flowers)[1].folder == flowers / name
    assert load_own_data("./flowers").content == content
