"""What engines are fed from image files: the images that were drawn, and the same as in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from class_folders import write_classes
from torch import nn

from winnow import rng
from winnow.data.crops import draw_crops
from winnow.data.image_files import READERS, ImageFiles
from winnow.data.listing import list_folder
from winnow.data.order import Batches
from winnow.engine.base import Job, Split, TrainingData
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.feed import Feed, at_once
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.stacked import StackedEngine
from winnow.errors import UserError
from winnow.state import fresh_state

SIZE = 16
CPU = torch.device("cpu")


def network():
    layers = [nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 2))


@pytest.fixture
def job(tmp_path):
    names = [f"{i:02d}.JPEG" for i in range(14)]
    write_classes(tmp_path, {"a": names, "b": names}, side=24)
    listing = list_folder(tmp_path)
    images, labels = ImageFiles(listing, SIZE), torch.from_numpy(listing.labels)
    splits = {
        "train": Split(images, labels, torch.arange(0, 28, 2)),
        "test": Split(images, labels, torch.arange(1, 28, 2)),
    }
    return Job(
        build=network,
        data=TrainingData(splits, (120.0,) * 3, (60.0,) * 3, "flip-resized-crop"),
        steps=12,
        batch=5,
        last_batch="keep",
        optimizer={"name": "momentum", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule={"name": "constant", "drops": [], "factor": None, "warmup": 0},
        seeds={"order": 3, "augment": 4, "dropout": 5},
    )


def unaugmented(job):
    return replace(job, data=replace(job.data, augment="none"))


def in_memory(job):
    """The same job on the same pixels, without augmentation, as tensors."""
    splits = {
        name: replace(s, images=s.images.read(np.arange(28))) for name, s in job.data.splits.items()
    }
    return replace(job, data=replace(job.data, splits=splits, augment="none"))


def start(seed=0):
    torch.manual_seed(seed)
    return fresh_state(network())


def same(one, other):
    pairs = [(one.weights, other.weights), (one.buffers, other.buffers)]
    pairs += [(one.slots[slot], other.slots[slot]) for slot in one.slots]
    return one.step == other.step and all(a[n].equal(b[n]) for a, b in pairs for n in a)


def test_a_step_has_the_images_of_its_order_and_its_own_draws(job):
    feed, train = Feed(job, CPU), job.data.splits["train"]
    batches = Batches(14, 5, "keep", 3)
    for step in (0, 1, 2, 3, 7, 2):
        numbers = train.index[torch.tensor(batches.indices(step))].numpy()
        draws = draw_crops(len(numbers), rng.stream(4, "augment", step))
        x, y = feed.pixels(step)
        assert x.equal(train.images.read(numbers, draws))
        assert y.equal(train.labels[numbers])
    assert not feed.pixels(0)[0].equal(Feed(unaugmented(job), CPU).pixels(0)[0])


def test_a_whole_split_is_in_its_order_and_never_augmented(job):
    feed = Feed(job, CPU)
    xs, ys = zip(*feed.whole("test", 4), strict=True)
    assert [len(x) for x in xs] == [4, 4, 4, 2]
    test = job.data.splits["test"]
    pixels = test.images.read(test.index.numpy())
    torch.testing.assert_close(torch.cat(xs), (pixels.float() - 120) / 60, rtol=0, atol=1e-6)
    assert torch.cat(ys).equal(test.labels[test.index])


@pytest.mark.parametrize(("side", "count"), [(28, 1000), (64, 1000), (65, 969), (224, 81)])
def test_of_large_images_fewer_are_evaluated_at_once(side, count):
    nothing = torch.empty(0, dtype=torch.int64)
    images = torch.empty((0, 3, side, side), dtype=torch.uint8)
    assert at_once(Split(images, nothing, nothing), 1000) == count
    assert at_once(Split(images, nothing, nothing), 7) == 7


def test_without_augmentation_training_is_that_in_memory_bit_for_bit(job):
    engine = DenseEngine("cpu")
    files, memory = (engine.open(j, start()) for j in (unaugmented(job), in_memory(job)))
    for step in (1, 5, 12):
        assert files.advance(step) == memory.advance(step)
        assert files.evaluate("test") == memory.evaluate("test")
        assert same(files.state(), memory.state())


@pytest.mark.parametrize("at", [1, 3, 8])
def test_a_session_goes_on_in_the_same_bits(job, at):
    engine = DenseEngine("cpu")
    whole, begun = engine.open(job, start()), engine.open(job, start())
    whole.advance(12)
    begun.advance(at)
    begun.evaluate("test")
    begun.gradient()
    resumed = engine.open(job, begun.state())
    for session in (begun, resumed):
        session.advance(12)
        assert same(session.state(), whole.state())


def test_the_number_of_readers_changes_no_bit(job, monkeypatch):
    states = []
    for count in ("1", "3"):
        monkeypatch.setenv(READERS, count)
        session = DenseEngine("cpu").open(job, start())
        session.advance(12)
        states.append((session.state(), session.evaluate("test")))
    assert same(states[0][0], states[1][0])
    assert states[0][1] == states[1][1]


@pytest.mark.parametrize("engine", [StackedEngine("cpu"), CompiledEngine("cpu", backend=None)])
def test_other_engines_train_on_the_same_images(job, engine):
    other, dense = engine.open(job, start()), DenseEngine("cpu").open(job, start())
    for session in (other, dense):
        session.advance(12)
    for name, weight in dense.state().weights.items():
        torch.testing.assert_close(other.state().weights[name], weight, rtol=1e-4, atol=1e-5)
    assert other.evaluate("test").loss == pytest.approx(dense.evaluate("test").loss, rel=1e-4)


def test_rows_of_a_stack_have_draws_of_their_own(job):
    jobs = {row: replace(job, seeds={**job.seeds, "augment": row}) for row in (0, 1)}
    rows = StackedEngine("cpu").open_many(jobs, {0: start(), 1: start()}, 2)
    for row, session in rows.items():
        session.advance(6)
        alone = DenseEngine("cpu").open(jobs[row], start())
        alone.advance(6)
        for name, weight in alone.state().weights.items():
            torch.testing.assert_close(session.state().weights[name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("augment", ["none", "flip-resized-crop"])
def test_the_sparse_engine_says_that_it_takes_no_files(job, augment):
    job = replace(job, data=replace(job.data, augment=augment))
    assert SparseEngine().refuses(job).startswith("its images stay in files")
    with pytest.raises(UserError, match="its images stay in files"):
        SparseEngine().open(job, start())


def test_a_damaged_file_is_named_when_its_step_comes(job):
    train = job.data.splits["train"]
    step = 2
    number = int(train.index[int(Batches(14, 5, "keep", 3).indices(step)[1])])
    path = train.images.listing.path(number)
    path.write_bytes(path.read_bytes()[:300])
    session = DenseEngine("cpu").open(job, start())
    session.advance(step)  # the damaged batch is being read meanwhile
    with pytest.raises(UserError, match=f"{path} cannot be decoded"):
        session.advance(step + 1)
