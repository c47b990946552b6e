"""Datasets in folders of classes: where they are looked for, and which are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from class_folders import write_classes

from winnow import data
from winnow.data.facts import facts
from winnow.data.folder import find_folder, open_folder
from winnow.errors import UserError

TWO = replace(facts("imagenet"), classes=2, shape=(3, 24, 24))
CLASSES = {"ant": ("1.JPEG", "2.JPEG"), "cat[1]": ("3.png",)}


@pytest.fixture
def folder(tmp_path):
    write_classes(tmp_path / "imagenet" / "train", CLASSES)
    write_classes(tmp_path / "imagenet" / "val", dict.fromkeys(CLASSES, ("v.JPEG",)))
    return tmp_path / "imagenet"


def test_a_folder_is_opened(folder):
    found = open_folder(TWO, folder, "local folder imagenet")
    assert found.train_y.tolist() == [0, 0, 1]
    assert found.test_y.tolist() == [0, 1]
    assert found.train_x.shape == (3, 3, 24, 24)
    assert found.test_x.listing.folder == folder / "val"
    assert (found.classes, found.mean, found.std) == (2, TWO.mean, TWO.std)
    train, test = found.at_size(16)
    assert (train.shape, test.shape) == ((3, 3, 16, 16), (2, 3, 16, 16))
    assert train.read(np.arange(3)).shape == (3, 3, 16, 16)


def test_no_folder_says_where_it_was_looked_for_and_what_is_wanted(tmp_path):
    with pytest.raises(data.Unreachable) as caught:
        data.load_dataset("imagenet", root=tmp_path)
    told = str(caught.value)
    assert f"no folder train in {tmp_path / 'imagenet'}" in told
    assert "imagenet/train/CLASS/*.JPEG and imagenet/val/CLASS/*.JPEG" in told
    assert "not downloaded" in told


def test_without_a_data_folder_that_is_said(monkeypatch):
    monkeypatch.delenv("WINNOW_DATA", raising=False)
    with pytest.raises(data.Unreachable, match="WINNOW_DATA is not set"):
        data.load_dataset("imagenet")


def test_the_first_folder_that_has_images_is_taken(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert find_folder(TWO, [tmp_path / "empty", folder, tmp_path]) == folder


def test_a_split_that_is_missing_is_named(folder):
    (folder / "val").rename(folder / "validation")
    with pytest.raises(UserError, match=r"imagenet has no folder val: put its images there"):
        open_folder(TWO, find_folder(TWO, [folder]), "here")
    (folder / "validation").rename(folder / "val")
    (folder / "train").rename(folder / "training")
    with pytest.raises(UserError, match=r"imagenet has no folder train: put its images there"):
        open_folder(TWO, find_folder(TWO, [folder]), "here")


@pytest.mark.parametrize(("more", "less"), [("train", "val"), ("val", "train")])
def test_classes_of_one_split_alone_are_named(folder, more, less):
    write_classes(folder / more, {"dog": ("d.JPEG",)})
    told = rf"{less} lacks 1 of the classes that .*{more} has \(dog\)"
    with pytest.raises(UserError, match=told):
        open_folder(replace(TWO, classes=3), folder, "here")


def test_the_number_of_classes_is_that_of_the_dataset(folder):
    with pytest.raises(UserError, match=r"train has folders of 2 classes; imagenet has 1000"):
        open_folder(facts("imagenet"), folder, "here")


def test_a_thousand_classes_are_found_under_the_data_folder(tmp_path, monkeypatch, caplog):
    for part in ("train", "val"):
        for label in range(1000):
            (tmp_path / "imagenet" / part / f"n{label:08d}").mkdir(parents=True)
            (tmp_path / "imagenet" / part / f"n{label:08d}" / f"{label}.JPEG").write_bytes(b"")
    monkeypatch.setenv("WINNOW_DATA", str(tmp_path))
    found = data.load_dataset("imagenet")
    assert found.train_y.tolist() == list(range(1000))
    assert found.train_x.shape == (1000, 3, 224, 224)
    assert found.source == "local folder imagenet"
    assert data.dataset_content("imagenet") == found.content
    assert "the whole dataset has 1281167 and 50000" in caplog.text


def test_images_in_files_are_no_tensors():
    with pytest.raises(UserError, match=r"stay in files: use load_dataset\('imagenet'\)"):
        data.load_images("imagenet")


def test_datasets_in_memory_are_loaded_as_ever(tmp_path):
    images = data.load_dataset("digits", cache=tmp_path)
    assert isinstance(images, data.Images)
    assert images.train_x.equal(data.load_images("digits", cache=tmp_path).train_x)
