"""Images of others: other formats, pipes, links, bombs and wrong labels are refused by name."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_folders import png, random_pixels, write_parquet
from PIL import Image

from winnow import data
from winnow.data import pictures
from winnow.data.own import load_own_data
from winnow.errors import UserError

# Pillow warns of some bombs besides
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")

GREY = random_pixels(3, 5, (1, 28, 28))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n"


def saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GREY[0]).save(buffer, kind)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of black pixels that is some thousand times as small as they are."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(width * height, 2**20)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


OTHERS = {kind: saved(kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "WEBP", "ICO", "TGA", "PCX")}
HOSTILE = {"EPS": EPS, **OTHERS, "cut": png(GREY[0])[:120], "none": b"", "text": b"<svg/>" * 9}


@pytest.fixture(autouse=True)
def no_program(monkeypatch):
    """No image starts one: Pillow's EPS would ask Ghostscript."""

    def refuse(*_: object, **__: object) -> None:
        raise SystemExit("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/gs")


@pytest.fixture
def mnist(tmp_path):
    """The folder of a small MNIST."""
    for split in ("train", "test"):
        path = tmp_path / "root" / "mnist" / "data" / f"{split}-0.parquet"
        write_parquet(path, [png(one) for one in GREY], list(range(5)))
    return tmp_path / "root" / "mnist"


def refused(mnist: Path, told: str) -> None:
    cache = mnist.parents[1] / "cache"
    with pytest.raises(UserError, match=told):
        data.load_images("mnist", root=mnist.parent, cache=cache, online=False)
    assert not list(cache.rglob("*.safetensors"))


def shard(mnist: Path) -> Path:
    return mnist / "data" / "train-0.parquet"


@pytest.mark.parametrize("kind", HOSTILE)
def test_rows_are_png_or_jpeg(mnist, kind):
    write_parquet(shard(mnist), [png(GREY[0]), HOSTILE[kind]], [0, 1])
    refused(mnist, r"data/train-0\.parquet, row 1: the image cannot be decoded")


@pytest.mark.parametrize("size", [(28, 2**26), (30_000, 30_000), (12_000, 12_000), (2**31 - 1, 1)])
def test_rows_that_are_bombs(mnist, size):
    write_parquet(shard(mnist), [png(GREY[0]), bomb(*size)], [0, 1])
    refused(mnist, r"data/train-0\.parquet, row 1: the image (cannot be decoded|is \d+x\d+ pixels)")


@pytest.mark.parametrize("label", [10, -1, 2**40, None])
def test_labels_out_of_range(mnist, label):
    write_parquet(shard(mnist), [png(one) for one in GREY], [0, 1, 2, label, 4])
    refused(mnist, r"data/train-0\.parquet, row 3: the label is .*; mnist has labels 0 to 9")


@pytest.mark.parametrize(
    "labels", [pa.array([True]), pa.array([1.0]), pa.array(["x" * 10**6]), pa.array([[1]])]
)
def test_labels_that_are_no_whole_numbers(mnist, labels):
    table = pa.table({"image": pa.array([png(GREY[0])]), "label": labels})
    pq.write_table(table, shard(mnist))
    with pytest.raises(UserError, match=r"row 0: the label is") as error:
        data.load_images("mnist", root=mnist.parent, cache=mnist / "c", online=False)
    assert len(str(error.value)) < 500


def test_a_parquet_file_that_unpacks_to_many_times_its_length(mnist):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    one = pa.array([{"bytes": bytes(2**26), "path": None}], kind)
    table = pa.table({"image": one, "label": [0]})
    pq.write_table(table, shard(mnist), compression="zstd", use_dictionary=False)
    assert shard(mnist).stat().st_size < 10_000
    refused(mnist, r"data/train-0\.parquet has [\d,]+ bytes and unpacks to 67,\d+,\d+")


def test_a_value_that_a_parquet_file_has_once_is_not_copied_for_every_row(mnist):
    """Some hundred bytes a row on disk, a megabyte in memory."""
    big = png(GREY[0]) + bytes(np.random.default_rng(0).integers(0, 256, 2**19, dtype=np.uint8))
    images = pa.DictionaryArray.from_arrays(pa.array([0] * 900, pa.int32()), pa.array([big]))
    table = pa.table({"image": images, "label": [0] * 900})
    pq.write_table(table, shard(mnist), dictionary_pagesize_limit=2**24)
    assert shard(mnist).stat().st_size < 2**20
    held = []
    plain = pictures.opened_picture

    def watched(file, where):
        held.append(pa.total_allocated_bytes())
        return plain(file, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("winnow.data.decode.opened_picture", watched)
        images = data.load_images("mnist", root=mnist.parent, cache=mnist / "c", online=False)
    assert len(images.train_y) == 900
    assert max(held) < 2**24  # of 450 MB that the rows would have together


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_out(path: Path) -> None:
    path.rename(path.parents[4] / "elsewhere")
    path.symlink_to(path.parents[4] / "elsewhere")


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "gone")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT = [
    (pipe, "pipe"),
    (device, "link out of"),
    (link_out, "link out of"),
    (dangling, "nothing is"),
]


@pytest.mark.parametrize(("how", "told"), SPOILT)
def test_shards_are_files_of_their_folder(mnist, how, told):
    how(shard(mnist))
    refused(mnist, rf"train-0\.parquet.*{told}")


def test_a_folder_of_shards_that_is_a_link_out_of_the_data(mnist, tmp_path):
    (mnist / "data").rename(tmp_path / "secret")
    (mnist / "data").symlink_to(tmp_path / "secret")
    refused(mnist, r"mnist/data is a link out of")


def test_links_within_a_folder_and_to_it_are_followed_and_count_once(mnist, tmp_path):
    """As the hub's own cache has them: snapshots/REVISION/data/train.parquet -> blobs/HASH."""
    plain = data.load_images("mnist", root=mnist.parent, cache=tmp_path / "a", online=False)
    (mnist / "blobs").mkdir()
    shard(mnist).rename(mnist / "blobs" / "abc")
    shard(mnist).symlink_to("../blobs/abc")
    (mnist / "train-again.parquet").symlink_to("blobs/abc")
    mnist.rename(tmp_path / "far")
    mnist.symlink_to(tmp_path / "far")
    linked = data.load_images("mnist", root=mnist.parent, cache=tmp_path / "b", online=False)
    assert linked.content == plain.content


# ---- folders of images


@pytest.fixture
def flowers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / "data" / "flowers" / split / name).mkdir(parents=True)
            for number in range(2):
                path = tmp_path / "data" / "flowers" / split / name / f"{number}.png"
                Image.fromarray(GREY[number]).save(path)
    return tmp_path / "data" / "flowers"


KEYS = ["./data/flowers", "./data/flowers?files=8"]


def read_all(key: str) -> None:
    images = load_own_data(key)
    images.train_x.read(np.arange(len(images.train_y)))


def refused_folder(key: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_all(key)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_files_are_png_or_jpeg(flowers, kind, key):
    (flowers / "train" / "bee" / "1.png").write_bytes(HOSTILE[kind])
    refused_folder(key, r"train/bee/1\.png cannot be decoded")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [(30_000, 30_000), (12_000, 12_000), (2**31 - 1, 1)])
def test_files_that_are_bombs(flowers, size, key):
    (flowers / "train" / "bee" / "1.png").write_bytes(bomb(*size))
    refused_folder(key, r"train/bee/1\.png (cannot be decoded: it has more than 89,478,485|has)")


def test_many_files_of_one_size_that_do_not_fit_into_memory(flowers, monkeypatch):
    blob = bomb(9_000, 9_000)
    for path in flowers.rglob("*.png"):
        path.write_bytes(blob)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 150_000}  # 614 MB
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    refused_folder(KEYS[0], r"take 1 GB in memory, and this machine has 1: write data\.size")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("how", "told"), [*SPOILT, (a_folder, "has no image")])
def test_images_are_files_of_their_folder(flowers, how, told, key):
    (flowers / "train" / "bee" / "0.png").unlink()
    how(flowers / "train" / "bee" / "1.png")
    refused_folder(key, told)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", ["train/bee", "train", "test/ant", "test"])
def test_folders_that_are_links_out_of_the_data(flowers, tmp_path, place, key):
    (flowers / place).rename(tmp_path / "secret")
    (flowers / place).symlink_to(tmp_path / "secret")
    refused_folder(key, rf"flowers/{place} is a link out of data/flowers, to {tmp_path}/secret")


@pytest.mark.parametrize("key", KEYS)
def test_links_within_the_data_are_images(flowers, key):
    (flowers / "train" / "bee" / "1.png").unlink()
    (flowers / "train" / "bee" / "1.png").symlink_to("../../test/bee/0.png")
    (flowers / "train" / "ant" / "notes.txt").symlink_to("/etc/hostname")  # not looked at
    assert len(load_own_data(key).train_y) == 4


def test_an_image_that_becomes_a_pipe_later(flowers):
    images = load_own_data(KEYS[1])
    pipe(flowers / "train" / "ant" / "0.png")
    with pytest.raises(UserError, match=r"ant/0\.png is no regular file"):
        images.train_x.read(np.array([0]))
