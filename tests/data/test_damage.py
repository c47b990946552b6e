from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_folders import Folder, png, random_pixels, write_parquet

from winnow import data
from winnow.errors import UserError

GREY = random_pixels(3, 5, (1, 28, 28))


def load(tmp_path: Path, name: str = "mnist") -> data.Images:
    return data.load_images(name, root=tmp_path / "root", cache=tmp_path / "cache", online=False)


def second_shard(tmp_path: Path) -> Path:
    return tmp_path / "root" / "mnist" / "data" / "train-00001-of-00002.parquet"


def failure(tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(tmp_path)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    return str(caught.value)


def rows_with(encoded: Any, label: Any = 0) -> tuple[list[Any], list[Any]]:
    """Five rows of which row 3 is special."""
    images, labels = [png(p) for p in GREY], [0, 1, 2, 3, 4]
    images[3], labels[3] = encoded, label
    return images, labels


@pytest.mark.parametrize("keep", [0, 100, -50])
def test_a_cut_parquet_file_is_named(tmp_path: Path, make_folder: Folder, keep: int) -> None:
    make_folder()
    path = second_shard(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    text = failure(tmp_path)
    assert str(path) in text
    assert "damaged" in text


def test_a_parquet_file_with_overwritten_pages_is_named(
    tmp_path: Path, make_folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    make_folder()
    path = second_shard(tmp_path)
    blob = bytearray(path.read_bytes())
    blob[4:400] = b"\xff" * 396
    path.write_bytes(blob)
    assert str(path) in failure(tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("encoded", "label", "text"),
    [
        (b"no image", 3, "row 3: the image cannot be decoded"),
        (png(GREY[0])[:200], 3, "row 3: the image cannot be decoded"),
        (None, 3, "row 3: there is no image"),
        (png(GREY[0][:20]), 3, "row 3: the image is 28x20 pixels in mode L"),
        (png(GREY[0], "RGB"), 3, "row 3: the image is 28x28 pixels in mode RGB; .* mode L"),
        (png(GREY[0]), 10, "row 3: the label is 10; mnist has labels 0 to 9"),
        (png(GREY[0]), -1, "row 3: the label is -1"),
        (png(GREY[0]), None, "row 3: the label is None"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, make_folder: Folder, encoded: Any, label: Any, text: str
) -> None:
    make_folder()
    path = second_shard(tmp_path)
    write_parquet(path, *rows_with(encoded, label))
    with pytest.raises(UserError, match=text) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(str(path))


def test_rows_are_counted_over_batches(tmp_path: Path, make_folder: Folder) -> None:
    make_folder()
    images = [png(GREY[0])] * 2345
    images[2100] = b"no image"
    write_parquet(second_shard(tmp_path), images, [0] * 2345)
    assert "row 2100:" in failure(tmp_path)


def test_missing_columns_rows_and_splits_are_named(tmp_path: Path, make_folder: Folder) -> None:
    make_folder()
    path = second_shard(tmp_path)
    pq.write_table(pa.table({"pixels": [1], "label": [1]}), path)
    assert "pixels, label; one must be called image or img" in failure(tmp_path)
    write_parquet(path, [], [])
    assert "there are no rows" in failure(tmp_path)
    path.unlink()
    for test in path.parent.glob("test-*"):
        test.unlink()
    assert "has no test*.parquet file" in failure(tmp_path)


def test_a_coloured_dataset_refuses_grey_images(tmp_path: Path, make_folder: Folder) -> None:
    make_folder("cifar10", (1, 32, 32))
    with pytest.raises(UserError, match=r"row 0: .*mode L; cifar-10 has 32x32 in mode RGB"):
        load(tmp_path, "cifar-10")


def test_tiny_imagenet_has_some_grey_images_and_a_validation_split(
    tmp_path: Path, make_folder: Folder
) -> None:
    written = make_folder("tiny-imagenet", (1, 64, 64), test_split="valid")
    images = load(tmp_path, "tiny-imagenet")
    grey = written["test_x"][:, None]
    np.testing.assert_array_equal(images.test_x.numpy(), np.repeat(grey, 3, axis=1))
