"""Folders as lists: names of any kind, what is left out, and what the hash of content sees."""

from __future__ import annotations

import os

import numpy as np
import pytest
from class_folders import write_classes

from winnow.data import listing
from winnow.data.listing import content_of, list_folder
from winnow.errors import UserError

NAMES = ("a.JPEG", "b.jpg", "c.Jpeg", "d.png", "e.PNG")


@pytest.fixture
def folder(tmp_path):
    write_classes(tmp_path / "train", {"cat": NAMES, "ant": ("z.JPEG", "y.JPEG")})
    return tmp_path / "train"


def paths(found):
    return [found.path(i) for i in range(len(found))]


def test_images_are_listed_by_class_and_name(folder):
    found = list_folder(folder)
    assert found.classes == ("ant", "cat")
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 1, 1]
    wanted = [folder / "ant" / name for name in ("y.JPEG", "z.JPEG")]
    wanted += [folder / "cat" / name for name in NAMES]
    assert paths(found) == wanted
    assert found.sizes.tolist() == [path.stat().st_size for path in wanted]


def test_names_of_any_kind_are_names_and_no_patterns(tmp_path):
    kinds = ("set[1]", "*", "a b", "ü ñ", "?x", "line\nbreak")
    write_classes(tmp_path / "[ab]", {kind: (f"{kind}.png",) for kind in kinds})
    found = list_folder(tmp_path / "[ab]")
    assert found.classes == tuple(sorted(kinds))
    assert paths(found) == [tmp_path / "[ab]" / kind / f"{kind}.png" for kind in sorted(kinds)]
    assert all(path.is_file() for path in paths(found))


def test_names_that_are_no_text_are_found(folder):
    odd = os.fsencode(folder / "ant") + b"/\xff\xfe.jpg"
    try:
        os.link(folder / "ant" / "y.JPEG", odd)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    found = list_folder(folder)
    assert os.fsencode(found.path(2)) == odd
    assert len(content_of([found])) == 64


def test_hidden_files_are_passed_over_and_others_counted(folder, caplog):
    (folder / ".git").mkdir()
    (folder / "list.txt").write_text("")
    (folder / "cat" / "._a.JPEG").write_bytes(b"")
    list_folder(folder)
    assert caplog.messages == []
    (folder / "cat" / "notes.txt").write_text("")
    (folder / "cat" / "f.webp").write_text("")
    assert len(list_folder(folder)) == 7
    assert caplog.messages == [f"{folder}: 2 files that are not called .jpeg or .jpg or .png"]


def test_folders_without_images_are_refused(folder, tmp_path):
    (folder / "dog").mkdir()
    with pytest.raises(UserError, match=r"dog has no image whose name ends in \.jpeg, \.jpg"):
        list_folder(folder)
    (tmp_path / "flat").mkdir()
    with pytest.raises(UserError, match=r"flat has no folder of a class"):
        list_folder(tmp_path / "flat")
    with pytest.raises(UserError, match=r"gone cannot be read \(FileNotFoundError"):
        list_folder(tmp_path / "gone")


def test_a_link_to_a_folder_is_a_class(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "cat").rename(tmp_path / "elsewhere" / "cat")
    (folder / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    assert len(list_folder(folder)) == 7


def test_an_image_takes_few_bytes(tmp_path):
    """A million of them are held: by lists of Python's strings it would be some 200 bytes each."""
    (tmp_path / "n01440764").mkdir()
    for i in range(200):
        (tmp_path / "n01440764" / f"n01440764_{i:05d}.JPEG").touch()
    found = list_folder(tmp_path)
    arrays = (found.labels, found.ends, found.sizes)
    assert len(found.names) + sum(a.nbytes for a in arrays) == 200 * (20 + 3 * 8)


def content(folder):
    return content_of([list_folder(folder)])


def test_the_content_is_that_of_classes_names_sizes_and_bytes(folder, tmp_path):
    before = content(folder)
    assert content(folder) == before
    folder.rename(tmp_path / "other")  # where it lies is no part of it
    folder = tmp_path / "other"
    assert content(folder) == before
    image = folder / "cat" / "a.JPEG"
    data = image.read_bytes()

    def changed():
        return content(folder) != before

    image.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    assert changed(), "one bit of a byte"
    image.write_bytes(data + b"\0")
    assert changed(), "a byte more"
    image.write_bytes(data)
    assert not changed()
    image.rename(folder / "cat" / "aa.JPEG")
    assert changed(), "a name"
    (folder / "cat" / "aa.JPEG").rename(folder / "ant" / "a.JPEG")
    assert changed(), "another class"
    (folder / "ant" / "a.JPEG").rename(image)
    (folder / "ant").rename(folder / "bee")
    assert changed(), "a class of another name"


def test_splits_are_no_heap(folder, tmp_path):
    write_classes(tmp_path / "val", {"cat": ("x.png",), "ant": ("x.png",)})
    one, two = list_folder(folder), list_folder(tmp_path / "val")
    assert content_of([one, two]) != content_of([two, one])


def test_of_many_files_the_bytes_of_some_are_seen(folder, monkeypatch):
    """What it does not see, as its text says: another file of the same length, not sampled."""
    monkeypatch.setattr(listing, "SAMPLE", 3)  # of 7: the first, the middle one, the last
    before = content(folder)
    seen = []
    for path in paths(list_folder(folder)):
        data = path.read_bytes()
        path.write_bytes(bytes(len(data)))
        seen.append(content(folder) != before)
        path.write_bytes(data)
    assert seen == [True, False, False, True, False, False, True]
    path = folder / "ant" / "z.JPEG"  # not in the sample, but of another length
    path.write_bytes(path.read_bytes() + b"\0")
    assert content(folder) != before


def test_a_file_that_cannot_be_read_is_named(folder):
    found = list_folder(folder)
    (folder / "cat" / "b.jpg").unlink()
    with pytest.raises(UserError, match=r"b\.jpg cannot be read \(FileNotFoundError"):
        content_of([found])


def test_types_are_those_that_torch_takes(folder):
    assert list_folder(folder).labels.dtype == np.int64
