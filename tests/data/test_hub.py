from __future__ import annotations

import os
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from image_folders import Folder

from winnow import data
from winnow.data.hub import quiet


def test_offline_says_what_was_tried_and_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(data.Unreachable) as caught:
        data.load_images("cifar-10", root=tmp_path / "none", cache=tmp_path, online=False)
    text = str(caught.value)
    assert str(tmp_path / "none" / "cifar10") in text
    assert str(tmp_path / "none" / "cifar-10") in text
    assert "uoft-cs/cifar10 (not asked: offline)" in text
    assert "set WINNOW_DATA to a folder that contains cifar10/data/train-*.parquet" in text
    assert "connect to huggingface.co" in text


def test_without_a_data_folder_the_message_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WINNOW_DATA", raising=False)
    with pytest.raises(data.Unreachable, match=r"WINNOW_DATA is not set; .*ylecun/mnist"):
        data.dataset_content("mnist", cache=tmp_path, online=False)


def test_an_unreachable_hub_fails_silently(tmp_path: Path) -> None:
    code = (
        "from winnow import data\n"
        "try: data.load_images('fashion-mnist')\n"
        "except data.Unreachable as error: text = str(error)\n"
        "assert 'zalando-datasets/fashion_mnist (' in text, text\n"
        "assert 'not asked' not in text, text\n"
    )
    places = {"WINNOW_CACHE": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    environment = os.environ | places | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    environment.pop("WINNOW_DATA", None)
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_local_files_need_no_network(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    make_folder()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    data.load_images("mnist", root=tmp_path / "root", cache=tmp_path / "cache")


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Any]:
    """Stand in for the network alone: ``load_dataset`` reads a folder instead of the hub."""
    calls: list[Any] = []
    load_dataset = datasets.load_dataset

    def info(_: object, repository: str, timeout: float) -> Any:
        calls.append((repository, timeout))
        return types.SimpleNamespace(sha="abc123")

    def from_folder(repository: str, revision: str, cache_dir: str) -> Any:
        calls.append((repository, revision))
        parts = {split: str(folder / "data" / f"{split}-*.parquet") for split in ("train", "test")}
        return load_dataset("parquet", data_files=parts, cache_dir=cache_dir)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(datasets, "load_dataset", from_folder)
    return calls


def test_the_hub_is_asked_once(
    tmp_path: Path,
    make_folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    written = make_folder()
    calls = serve(monkeypatch, tmp_path / "root" / "mnist")
    monkeypatch.delenv("WINNOW_DATA", raising=False)
    images = data.load_images("mnist", cache=tmp_path / "cache")
    assert images.source == "hub ylecun/mnist at revision abc123"
    np.testing.assert_array_equal(images.train_x.numpy()[:, 0], written["train_x"])
    np.testing.assert_array_equal(images.test_y.numpy(), written["test_y"])
    assert [call[0] for call in calls] == ["ylecun/mnist"] * 2
    again = data.load_images("mnist", cache=tmp_path / "cache", online=False)
    assert again.content == images.content
    assert len(calls) == 2
    assert capfd.readouterr() == ("", "")
    left = {path.name.lstrip(".") for path in (tmp_path / "cache" / "data").iterdir()}
    assert all(name.endswith((".safetensors", ".lock")) for name in left)


def test_local_files_and_the_hub_give_the_same_content(
    tmp_path: Path, make_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    local = data.load_images("mnist", root=tmp_path / "root", cache=tmp_path / "one", online=False)
    serve(monkeypatch, tmp_path / "root" / "mnist")
    hub = data.load_images("mnist", root=tmp_path / "none", cache=tmp_path / "two")
    assert hub.content == local.content


def test_quiet_leaves_the_settings_as_they_were() -> None:
    def settings() -> tuple[Any, ...]:
        return (
            datasets.is_progress_bar_enabled(),
            are_progress_bars_disabled(),
            datasets.logging.get_verbosity(),
            huggingface_hub.utils.logging.get_verbosity(),
        )

    before = settings()
    with quiet():
        assert not datasets.is_progress_bar_enabled()
        assert are_progress_bars_disabled()
    assert settings() == before
