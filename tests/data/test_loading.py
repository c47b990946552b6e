from __future__ import annotations

import hashlib
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_folders import Folder

from winnow import data
from winnow.data import local
from winnow.errors import UserError


def get(tmp_path: Path, name: str = "mnist", **options: Any) -> data.Images:
    options.setdefault("root", tmp_path / "root")
    options.setdefault("cache", tmp_path / "cache")
    return data.load_images(name, online=False, **options)


def cached(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache" / "data").glob("*.safetensors")
    return path


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(local, "decode", never)


def test_grey_images_arrive_exactly(tmp_path: Path, make_folder: Folder) -> None:
    written = make_folder()
    images = get(tmp_path)
    assert images.name == "mnist"
    assert images.inputs == (1, 28, 28)
    assert images.classes == 10
    assert images.train_x.dtype == torch.uint8
    assert images.train_y.dtype == torch.int64
    np.testing.assert_array_equal(images.train_x.numpy()[:, 0], written["train_x"])
    np.testing.assert_array_equal(images.test_x.numpy()[:, 0], written["test_x"])
    np.testing.assert_array_equal(images.train_y.numpy(), written["train_y"])
    np.testing.assert_array_equal(images.test_y.numpy(), written["test_y"])


@pytest.mark.parametrize("columns", [("image", "label"), ("img", "fine_label")])
def test_coloured_images_arrive_exactly(
    tmp_path: Path, make_folder: Folder, columns: tuple[str, str]
) -> None:
    written = make_folder("cifar-100", (3, 32, 32), columns)
    images = get(tmp_path, "cifar-100")
    np.testing.assert_array_equal(images.train_x.numpy(), written["train_x"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(images.train_y.numpy(), written["train_y"])


def test_content_is_the_hash_of_the_arrays(tmp_path: Path, make_folder: Folder) -> None:
    written = make_folder()
    digest = hashlib.sha256()
    for name, shape in [("train", 30), ("test", 12)]:
        digest.update(f"{name}_x |u1 ({shape}, 1, 28, 28);".encode())
        digest.update(written[f"{name}_x"].tobytes())
        digest.update(f"{name}_y <i8 ({shape},);".encode())
        digest.update(written[f"{name}_y"].astype("<i8").tobytes())
    assert get(tmp_path).content == digest.hexdigest()


def test_second_load_comes_from_the_cache(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    first = get(tmp_path)
    forbid_decoding(monkeypatch)
    second = get(tmp_path)
    assert second.content == first.content
    assert second.source == first.source == "local folder mnist"
    assert torch.equal(second.train_x, first.train_x)
    known = data.dataset_content("mnist", root=tmp_path / "root", cache=tmp_path / "cache")
    assert known == first.content


def test_content_of_loads_what_is_not_cached(tmp_path: Path, make_folder: Folder) -> None:
    make_folder()
    known = data.dataset_content("mnist", root=tmp_path / "root", cache=tmp_path / "cache")
    assert known == get(tmp_path).content


def test_other_files_are_another_dataset(tmp_path: Path, make_folder: Folder) -> None:
    make_folder(seed=0)
    first = get(tmp_path)
    written = make_folder(seed=5)
    second = get(tmp_path)
    assert second.content != first.content
    np.testing.assert_array_equal(second.train_x.numpy()[:, 0], written["train_x"])


def test_places_are_read_from_the_environment(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    monkeypatch.setenv("WINNOW_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    data.load_images("mnist", online=False)
    assert cached(tmp_path).name.startswith("mnist-")


def test_nothing_but_the_cache_file_stays(tmp_path: Path, make_folder: Folder) -> None:
    make_folder()
    get(tmp_path)
    path = cached(tmp_path)
    scratch = path.with_name(f".{path.name}.scratch")
    path.unlink()
    scratch.mkdir()
    (scratch / "images.safetensors").write_bytes(b"left by a killed process")
    get(tmp_path)
    left = {p.name for p in path.parent.iterdir()}
    assert left == {path.name}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_last_byte(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip_last_byte, empty])
def test_damaged_cache_is_named_set_aside_and_made_again(
    tmp_path: Path, make_folder: Folder, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    make_folder()
    before = get(tmp_path).content
    path = cached(tmp_path)
    damage(path)
    with caplog.at_level(logging.WARNING):
        after = get(tmp_path)
    assert after.content == before
    assert str(path) in caplog.text
    assert path.with_name(path.name + ".damaged").exists()
    caplog.clear()
    assert get(tmp_path).content == before
    assert ".damaged" not in caplog.text


def test_without_a_writable_cache_it_still_loads(
    tmp_path: Path, make_folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    written = make_folder()
    (tmp_path / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        images = get(tmp_path)
    np.testing.assert_array_equal(images.train_x.numpy()[:, 0], written["train_x"])
    assert "cannot be used" in caplog.text


def test_two_at_once_decode_once(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    decoded: list[str] = []

    def slowly(tables: Any, facts: Any, where: str) -> Any:
        decoded.append(where)
        time.sleep(0.1)
        return original(tables, facts, where)

    original = local.decode
    monkeypatch.setattr(local, "decode", slowly)
    contents: list[str] = []
    threads = [
        threading.Thread(target=lambda: contents.append(get(tmp_path).content)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(contents) == 3
    assert len(set(contents)) == 1
    assert len(decoded) == len(set(decoded)) == 3  # three files


def test_an_incomplete_copy_is_said(
    tmp_path: Path, make_folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    make_folder()
    with caplog.at_level(logging.WARNING):
        get(tmp_path)
    assert "30 training and 12 test images; the whole dataset has 60000 and 10000" in caplog.text


def test_unknown_dataset() -> None:
    with pytest.raises(UserError, match=r"'cifar10'.*Did you mean 'cifar-10'.*tiny-imagenet"):
        data.load_images("cifar10")


def test_digits_are_scikit_learns_with_a_fixed_stratified_test_set(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    images = get(tmp_path, "digits")
    assert images.inputs == (1, 8, 8)
    assert len(images.train_y) == 1437
    assert len(images.test_y) == 360
    x, y = load_digits(return_X_y=True)
    together = torch.cat([images.train_x, images.test_x]).flatten(1).numpy()
    labels = torch.cat([images.train_y, images.test_y]).numpy()
    assert sorted(map(tuple, np.c_[together, labels])) == sorted(
        map(tuple, np.c_[x, y].astype(int))
    )
    fifths = np.bincount(y) / 5
    assert abs(images.test_y.bincount().numpy() - fifths).max() < 1
    assert images.test_y[:10].tolist() == get(tmp_path, "digits").test_y[:10].tolist()


def test_digits_keep_their_content_and_moments(tmp_path: Path) -> None:
    images = get(tmp_path, "digits")
    pixels = images.train_x.double()
    assert pixels.mean().item() == pytest.approx(images.mean[0], abs=1e-6)
    assert pixels.std(unbiased=False).item() == pytest.approx(images.std[0], abs=1e-6)
    assert images.content.startswith("c20f05f512a402cc")


@pytest.mark.parametrize(
    ("module", "package"), [("datasets", "datasets"), ("pyarrow", "pyarrow"), ("PIL", "pillow")]
)
def test_what_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    make_folder()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"mnist needs {package}, .*pip install 'winnow\[data\]'"):
        get(tmp_path)


def test_digits_and_decoded_images_need_no_extra(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    decoded = get(tmp_path).content
    for module in ("datasets", "pyarrow", "PIL", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, module, None)
    assert get(tmp_path).content == decoded
    assert len(get(tmp_path, "digits").train_y) == 1437
    with pytest.raises(data.Unreachable):  # offline, and not decoded: nothing would read it
        get(tmp_path, "cifar-10")
