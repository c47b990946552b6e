"""Squares from image files: against a slow resampling in float64, whoever reads them."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from class_folders import picture, write_classes
from PIL import Image

from winnow.data.crops import crop_box, draw_crops
from winnow.data.image_files import READERS, ImageFiles, read_square, readers
from winnow.data.listing import list_folder
from winnow.errors import UserError


def resampled(pixels, size):
    """Bilinear with antialiasing, by its definition: each output pixel is the mean of the input,
    weighted by a triangle around it whose half-width is the scale, or 1 where that is smaller.
    """
    for axis, count in ((0, size[1]), (1, size[0])):
        before = pixels.shape[axis]
        scale = before / count
        support = max(scale, 1.0)
        weights = np.zeros((count, before))
        for i in range(count):
            centre = (i + 0.5) * scale
            for j in range(before):
                weights[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) / support)
        weights /= weights.sum(1, keepdims=True)
        pixels = np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
    return pixels


def slowly_central(pixels, size):
    """Shorter side to size · 256/224, then the square in the centre."""
    height, width = pixels.shape[:2]
    short = round(size * 256 / 224)
    sides = (
        (short, math.floor(short * height / width))
        if width <= height
        else (math.floor(short * width / height), short)
    )
    whole = resampled(pixels.astype(float), sides)
    top, left = (round((side - size) / 2) for side in whole.shape[:2])
    return whole[top : top + size, left : left + size]


def differ(read, slow):
    """The largest difference to unrounded values; Pillow rounds twice, after each axis."""
    return np.abs(read.transpose(1, 2, 0).astype(float) - slow).max()


SIDES = [(40, 30), (30, 40), (64, 64), (9, 31), (200, 150)]


@pytest.mark.parametrize("sides", SIDES)
def test_the_central_square_is_that_of_the_definition(tmp_path, sides):
    image = picture(1, *sides)
    image.save(tmp_path / "a.png")
    for size in (16, 28):
        read = read_square(tmp_path / "a.png", size)
        assert read.shape == (3, size, size)
        assert differ(read, slowly_central(np.asarray(image), size)) < 1.1


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_random_part_is_that_of_its_box(tmp_path, sides, mirrored):
    image = picture(2, *sides)
    image.save(tmp_path / "a.png")
    attempts = draw_crops(1, np.random.default_rng(7)).attempts[0]
    left, top, right, bottom = crop_box(attempts, *sides)
    part = np.asarray(image)[top:bottom, left:right].astype(float)
    slow = resampled(part, (24, 24))
    read = read_square(tmp_path / "a.png", 24, (attempts, mirrored))
    assert differ(read, slow[:, ::-1] if mirrored else slow) < 1.1


def test_every_colour_mode_becomes_rgb(tmp_path):
    image = picture(3)
    for mode, name in (("L", "a.JPEG"), ("CMYK", "b.JPEG"), ("P", "c.png"), ("RGBA", "d.png"),
                       ("LA", "e.png"), ("1", "f.png")):  # fmt: skip
        image.convert(mode).save(tmp_path / name)
        with Image.open(tmp_path / name) as written:
            rgb = np.asarray(written.convert("RGB"))
        assert differ(read_square(tmp_path / name, 18), slowly_central(rgb, 18)) < 1.1, mode
    grey = read_square(tmp_path / "a.JPEG", 18)
    assert (grey[0] == grey[1]).all()
    assert (grey[0] == grey[2]).all()


def test_a_name_may_lie_about_the_format(tmp_path):
    """ImageNet has a PNG among its .JPEG files."""
    picture(4).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "b.JPEG")
    assert read_square(tmp_path / "b.JPEG", 8).shape == (3, 8, 8)
    picture(4).save(tmp_path / "c.gif")
    (tmp_path / "c.gif").rename(tmp_path / "d.JPEG")
    with pytest.raises(UserError, match=r"d\.JPEG cannot be decoded"):
        read_square(tmp_path / "d.JPEG", 8)


def test_a_name_that_is_no_text_is_read(tmp_path):
    picture(5).save(tmp_path / "a.png")
    odd = os.fsencode(tmp_path) + b"/\xff.png"
    try:
        os.link(tmp_path / "a.png", odd)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    assert read_square(Path(os.fsdecode(odd)), 8).shape == (3, 8, 8)


@pytest.fixture
def files(tmp_path):
    names = [f"{i:02d}.JPEG" for i in range(12)]
    write_classes(tmp_path / "set[1]", {"a": names[:7], "b": names[7:]}, side=50)
    return ImageFiles(list_folder(tmp_path / "set[1]"), 32)


def test_a_batch_is_its_images_in_the_order_asked_for(files):
    images = np.array([3, 11, 3, 0])
    draws = draw_crops(4, np.random.default_rng(0))
    read = files.read(images, draws)
    assert (read.dtype, tuple(read.shape)) == (torch.uint8, (4, 3, 32, 32))
    for at, image in enumerate(images):
        part = (draws.attempts[at], bool(draws.flips[at]))
        alone = read_square(files.listing.path(int(image)), 32, part)
        np.testing.assert_array_equal(read[at].numpy(), alone)
    assert not read[0].equal(read[2]), "the same image, drawn twice"
    central = files.read(images)
    assert central[0].equal(central[2])
    assert files.shape == (12, 3, 32, 32)


def test_whoever_reads_the_bits_are_the_same(files, monkeypatch):
    images, draws = np.arange(12), draw_crops(12, np.random.default_rng(1))
    seen = []
    for count in ("1", "3"):
        monkeypatch.setenv(READERS, count)
        assert readers() == int(count)
        seen.append((files.read(images, draws), files.read(images)))
    assert all(one.equal(other) for one, other in zip(*seen, strict=True))


def test_several_batches_can_be_on_their_way(files):
    comings = [files.start(np.array([k, k + 1])) for k in range(8)]
    for k, coming in reversed(list(enumerate(comings))):
        assert coming().equal(files.read(np.array([k, k + 1])))


def damage(path, how):
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "other": b"no image"}[how])


@pytest.mark.parametrize("how", ["cut", "empty", "other"])
def test_a_damaged_file_is_named(files, how):
    path = files.listing.path(5)
    damage(path, how)
    files.read(np.array([4, 6]))
    with pytest.raises(UserError) as caught:
        files.read(np.array([4, 5, 6]))
    assert str(path) in str(caught.value)
    assert "cannot be decoded" in str(caught.value)
    assert "get a fresh copy" in str(caught.value)


def test_of_two_damaged_files_the_first_of_the_batch_is_named(files):
    for image in (2, 9):
        damage(files.listing.path(image), "empty")
    for _ in range(5):
        with pytest.raises(UserError, match=r"b/09\.JPEG cannot be decoded"):
            files.read(np.array([0, 9, 1, 2]))


def test_a_file_that_is_gone_is_named(files):
    files.listing.path(8).unlink()
    with pytest.raises(UserError, match=r"b/08\.JPEG is gone: put it back"):
        files.read(np.array([8]))


@pytest.mark.parametrize("written", ["0", "many", "-1", "1.5", ""])
def test_a_number_of_threads_is_a_number(monkeypatch, written):
    monkeypatch.setenv(READERS, written)
    with pytest.raises(UserError, match=f"WINNOW_READERS is '{written}': write a number"):
        readers()
