"""Reading ahead: what is begun when, and that it changes no batch."""

from __future__ import annotations

import pytest
import torch
from class_folders import write_classes

from winnow import rng
from winnow.data.crops import draw_crops
from winnow.data.image_files import ImageFiles
from winnow.data.listing import list_folder
from winnow.engine.ahead import ReadAhead, read_in_turn
from winnow.engine.base import Split


@pytest.fixture
def split(tmp_path):
    write_classes(tmp_path, {"a": [f"{i}.png" for i in range(9)], "b": ["9.png"]})
    listing = list_folder(tmp_path)
    labels = torch.from_numpy(listing.labels)
    return Split(ImageFiles(listing, 8), labels, torch.tensor([1, 3, 5, 7, 9, 0]))


class Steps:
    """Batches whose pixels are their step, and a note of what was begun and waited for."""

    def __init__(self):
        self.notes = []

    def begin(self, step):
        self.notes.append(f"begin {step}")

        def coming():
            self.notes.append(f"wait {step}")
            return torch.tensor(step)

        return coming, torch.tensor(-step)


def test_the_next_batch_is_begun_before_this_one_is_waited_for():
    steps = Steps()
    ahead = ReadAhead(steps.begin, 3)
    assert [tuple(map(int, ahead.batch(step))) for step in range(3)] == [(0, 0), (1, -1), (2, -2)]
    assert steps.notes == ["begin 0", "begin 1", "wait 0", "begin 2", "wait 1", "wait 2"]


def test_any_step_can_be_asked_for():
    steps = Steps()
    ahead = ReadAhead(steps.begin, 10)
    order = [4, 4, 5, 2, 9, 9, 12]
    assert [int(ahead.batch(step)[0]) for step in order] == order
    assert steps.notes.count("begin 5") == 1, "the second look at 4 begins 5 no second time"


def test_parts_come_in_turn_and_are_those_that_are_taken(split):
    parts = torch.split(torch.arange(6), 4)
    for (x, y), positions in zip(read_in_turn(split, parts), parts, strict=True):
        expected, labels = split.take(positions)
        assert x.equal(expected)
        assert y.equal(labels)
    assert list(read_in_turn(split, [])) == []


def test_parts_are_drawn_each_by_its_number(split):
    def draws(part, count):
        return draw_crops(count, rng.stream(0, part))

    parts = torch.split(torch.arange(6), 4)
    read = [x for x, _ in read_in_turn(split, parts, draws)]
    for part, positions in enumerate(parts):
        coming, _ = split.start(positions, draws(part, len(positions)))
        assert read[part].equal(coming())
    assert not read[0].equal(split.take(parts[0])[0])


def test_images_in_memory_are_not_read():
    tensor = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    split = Split(tensor, torch.zeros(3, dtype=torch.int64), torch.arange(3))
    assert split.in_memory is tensor
    with pytest.raises(AssertionError, match="need no reading"):
        split.start(torch.arange(2))
