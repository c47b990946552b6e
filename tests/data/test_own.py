"""Data of one's own: functions, folders and kept arrays, known by their content."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies

from winnow.data import load_dataset
from winnow.data.images import content_hash
from winnow.data.own import keep_arrays, kept_images, known_data, load_own_data
from winnow.data.own_names import is_folder, is_function, is_own_data
from winnow.errors import UserError

TEXT = """
import numpy as np

def blobs(shift=0):
    x = np.arange(24, dtype=np.uint8).reshape(6, 4) + shift
    return {"train": (x, np.array([0, 1, 2] * 2)), "test": (x[:3], np.array([0, 1, 2]))}

def table():
    return np.loadtxt("table.csv"), None

def of_a_file():
    x = np.loadtxt("table.csv", ndmin=2)
    return (x, np.arange(len(x)) % 2), (x, np.arange(len(x)) % 2)

def needs(path):
    return None

def fails():
    return {}["key"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(TEXT)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("winnow_outside"):
            del sys.modules[name]


def test_a_function_gives_data():
    images = load_dataset("mine.py:blobs")
    assert images.train_x.shape == (6, 4, 1, 1)
    assert images.classes == 3
    again = kept_images(images.content)  # as those who train read it
    assert torch.equal(again.train_x, images.train_x)
    about = known_data("mine.py:blobs")
    assert (about.shape, about.classes, about.train_size, about.test_size) == ((4, 1, 1), 3, 6, 3)
    assert about.pixels == "uint8"


def test_what_a_function_reads_is_read_anew_each_time(folder):
    (folder / "table.csv").write_text("1 2\n3 4\n")
    first = load_own_data("mine.py:of_a_file").content
    assert load_own_data("mine.py:of_a_file").content == first
    (folder / "table.csv").write_text("1 2\n3 5\n4 4\n")
    assert load_own_data("mine.py:of_a_file").content != first
    assert known_data("mine.py:of_a_file").train_size == 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mine.py:blob", "Did you mean 'blobs'"),
        ("mine.py:needs", "is called without arguments, and needs path"),
        ("mine.py:fails", r"reading the data failed with KeyError: 'key' \(.*mine.py, line"),
        ("mine.py:table", "reading the data failed with FileNotFoundError"),
        ("content:" + "0" * 64, "the data with the content 000000000000 is not in the cache"),
        ("./nowhere", "there is no such folder"),
    ],
)
def test_what_is_not_there_is_told(name, told):
    with pytest.raises(UserError, match=told):
        load_own_data(name)


def test_a_cache_that_is_a_file_is_told(folder, monkeypatch):
    (folder / "full").write_text("")
    monkeypatch.setenv("WINNOW_CACHE", str(folder / "full"))
    with pytest.raises(UserError, match="set WINNOW_CACHE"):
        load_own_data("mine.py:blobs")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.data())
def test_mean_and_deviation_are_those_of_every_channel(data):
    generator = np.random.default_rng(data.draw(strategies.integers(0, 99)))
    shape = tuple(data.draw(strategies.integers(1, 5)) for _ in range(3))
    dtype = data.draw(strategies.sampled_from([np.uint8, np.float32]))
    x = (generator.random((7, *shape)) * 255).astype(dtype)
    if data.draw(strategies.booleans()):
        x[:, 0] = 100  # the same everywhere: divided by 1
    y = torch.tensor([0, 1, 0, 1, 0, 1, 0])
    tensor = torch.from_numpy(x)
    arrays = {"train_x": tensor, "train_y": y, "test_x": tensor, "test_y": y}
    content = keep_arrays(arrays, "a test")
    assert content == content_hash(arrays)
    images = kept_images(content)
    for channel in range(shape[0]):
        values = x[:, channel].astype(np.float64)
        assert images.mean[channel] == pytest.approx(values.mean(), rel=1e-9)
        spread = values.std() if values.std() > 1e-6 else 1.0
        assert images.std[channel] == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mnist", None),
        ("cifar-10", None),
        ("a.b:f", "function"),
        ("a/b.py:f", "function"),
        ("C:\\data\\b.py:f", "function"),
        ("./mnist", "folder"),
        ("a/b", "folder"),
        ("~/b", "folder"),
        ("content:0abc", "kept"),
    ],
)
def test_names_say_what_they_are_of(name, kind):
    assert is_own_data(name) == (kind is not None)
    assert is_function(name) == (kind == "function")
    assert is_folder(name) == (kind == "folder")
