"""Recorded steps, replayed on the memory that they were recorded on, against the other engines."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from conformance import OPTIMIZERS, close, lenet, make_job, same, start, training_data
from networks import PreActivation
from tracks import CPU, FakeTrack

from winnow.engine.base import Split
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.recorded import together
from winnow.engine.recorded.epochs import Epochs
from winnow.engine.recorded.lane import Lane
from winnow.engine.recorded.opening import Recording
from winnow.models import build

SHAPE = (3, 8, 8)
DENSE, UNCOMPILED = DenseEngine("cpu"), CompiledEngine("cpu", backend=None)


def seeds(number):
    return {"order": number, "augment": 10 + number, "dropout": 20 + number}


def job_of(name, number=3, **changes):
    """With dropout and crops; with batch norm; or linear. Epochs of 3 batches, the last smaller."""
    changes = {"clip": 1.0, "seeds": seeds(number), **changes}
    if name == "lenet":
        return make_job(lenet(), training_data((1, 4, 4)), **changes)
    data = dataclasses.replace(training_data(SHAPE), augment="flip-crop")
    make = {
        "conv-2": lambda: build("conv-2", inputs=SHAPE, classes=10, dropout=0.5),
        "pre-activation": PreActivation,
    }[name]
    return make_job(make, data, **{"optimizer": OPTIMIZERS[1] | {"lr": 0.01}, **changes})


NETWORKS = ["lenet", "conv-2", "pre-activation"]


def opened(jobs, states, form="lanes", track=FakeTrack):
    tracks = []

    def make(device):
        tracks.append(track(device))
        return tracks[-1]

    recording = Recording(CPU, pytest.fail, track=make)
    networks = getattr(recording, form)(dict(enumerate(jobs)), dict(enumerate(states)), len(jobs))
    return networks, tracks


@pytest.mark.parametrize("name", NETWORKS)
def test_a_lane_trains_as_the_compiled_step_does_in_the_same_bits(name):
    job = job_of(name)
    state = start(job, 0.5)
    networks, (track,) = opened([job], [state])
    session = UNCOMPILED.open(job, state)
    for to in (1, 2, 7, 12):
        networks.advance(to)
        theirs = session.advance(to)
        mine = networks.stats(0)
        assert (mine.step, mine.seen) == (theirs.step, theirs.seen)
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-12)
        same(networks.state(0), session.state())
        for split in ("validation", "train"):
            seen, expected = networks.evaluate(split, 0), session.evaluate(split)
            assert seen.loss == pytest.approx(expected.loss, rel=1e-5)
            assert seen.accuracy == expected.accuracy
    assert track.recordings == 3  # the step, and two splits
    assert track.replays >= 8


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda spec: spec["name"])
@pytest.mark.parametrize("form", ["lanes", "rows"])
def test_every_optimizer_is_the_dense_engines(form, optimizer):
    job = job_of("lenet", optimizer=optimizer)
    state = start(job, 0.3)
    networks, _ = opened([job], [state], form)
    dense = DENSE.open(job, state)
    networks.advance(14)
    theirs, mine = dense.advance(14), networks.stats(0)
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-5)
    end = networks.state(0)
    close(end, dense.state())
    for name, keep in state.mask.items():
        for tensors in [end.weights, *end.slots.values()]:
            assert not bool(tensors[name][~keep].any())


@pytest.mark.parametrize("form", ["lanes", "rows"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_side_by_side_are_trained_as_if_alone(name, form):
    """Each with its own order, crops, dropout, mask and batch norm."""
    jobs = [job_of(name, number) for number in range(3)]
    states = [start(job, (None, 0.5, 0.1)[n], n) for n, job in enumerate(jobs)]
    networks, _ = opened(jobs, states, form)
    networks.advance(4)
    networks.advance(8)
    for place, (job, state) in enumerate(zip(jobs, states, strict=True)):
        dense = DENSE.open(job, state)
        assert networks.stats(place).loss == pytest.approx(dense.advance(8).loss, rel=1e-5)
        close(networks.state(place), dense.state())
        mine, theirs = networks.evaluate("test", place), dense.evaluate("test")
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-4)
        if form == "lanes":
            alone, _ = opened([job], [state])
            alone.advance(8)
            same(alone.state(0), networks.state(place))


@pytest.mark.parametrize("form", ["lanes", "rows"])
def test_what_is_resumed_goes_on_in_the_same_bits(form):
    """In the middle of an epoch, and after a step without an update."""
    job = job_of("conv-2", optimizer=OPTIMIZERS[3])
    state = dataclasses.replace(start(job, 0.5), step=2)
    whole, _ = opened([job], [state], form)
    whole.advance(11)
    part, _ = opened([job], [state], form)
    part.advance(7)
    rest, _ = opened([job], [part.state(0)], form)
    rest.advance(11)
    assert whole.state(0).updates == 9
    same(rest.state(0), whole.state(0))
    dense = DENSE.open(job, state)
    dense.advance(11)
    close(rest.state(0), dense.state(), atol=2e-4)


def of_floats(job, step=None):
    """The job on float32 images, without crops. ``step``: the first of epoch 0 to see an image that
    is not finite.
    """
    order = Epochs([feed_of(job)], 0, 0, FakeTrack())
    order.go_to(0)
    number = int(order.numbers[step or 0, 0, 0])
    train = job.data.splits["train"]
    images = train.images.float()
    if step is not None:
        images[number] = math.inf
    splits = {
        name: Split(images, split.labels, split.index) for name, split in job.data.splits.items()
    }
    return dataclasses.replace(
        job, data=dataclasses.replace(job.data, splits=splits, augment="none")
    )


def feed_of(job):
    from winnow.engine.feed import Feed

    return Feed(job, CPU)


def nan_to_number(state):
    """What is compared where running statistics have seen what is not finite."""
    clean = {n: b.nan_to_num(7.0, 8.0, 9.0) for n, b in state.buffers.items()}
    return dataclasses.replace(state, buffers=clean)


@pytest.mark.parametrize("form", ["lanes", "rows"])
@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("name", ["lenet", "pre-activation"])
def test_a_run_that_diverges_ends_as_in_the_dense_engine(name, step, form, monkeypatch):
    """Though the flag is only looked at many steps later, and its neighbour goes on."""
    monkeypatch.setattr(together, "LOOK_EVERY", 8)
    made = job_of(name, batch=15)
    job = of_floats(made)
    jobs, states = [of_floats(made, step), job], [start(job, 0.5)] * 2
    networks, tracks = opened(jobs, states, form)
    networks.advance(12)
    stats, expected = networks.stats(0), DENSE.open(jobs[0], states[0]).advance(12)
    assert (stats.step, stats.diverged_at) == (expected.step, expected.diverged_at)
    assert stats.diverged_at == step + 1
    assert math.isnan(stats.loss)
    for engine, compare in ((DENSE, close), (UNCOMPILED, same if form == "lanes" else close)):
        session = engine.open(jobs[0], states[0])
        session.advance(12)
        compare(nan_to_number(networks.state(0)), nan_to_number(session.state()))
    assert networks.stats(1).diverged_at is None
    others, _ = opened([job, job], states, form)
    others.advance(12)
    same(networks.state(1), others.state(1))
    launched = [track.replays for track in tracks]
    networks.advance(13)
    assert networks.stats(0) == stats or math.isnan(networks.stats(0).loss)
    if form == "lanes":
        assert [t.replays - n for t, n in zip(tracks, launched, strict=True)] == [0, 1]


def test_an_infinite_gradient_of_a_finite_loss_is_divergence():
    class Cliff(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(16, 10)

        def forward(self, x):
            logits = self.linear(x.flatten(1))
            return torch.sqrt(logits.abs() * 0) + logits

    job = make_job(Cliff, training_data((1, 4, 4)))
    state = start(job, None)
    networks, _ = opened([job], [state])
    networks.advance(5)
    assert networks.stats(0).diverged_at == 1
    same(networks.state(0), state)


@pytest.mark.parametrize("begin", [0, 2, 4])
@pytest.mark.parametrize(
    "changes", [{}, {"last_batch": "drop"}, {"batch": 60}], ids=["keep", "drop", "one batch"]
)
def test_an_epoch_on_the_device_is_that_of_the_feed(changes, begin):
    """Images, crops and labels of every step, for rows of other seeds and other examples."""
    jobs = [job_of("conv-2", number, **changes) for number in (3, 4)]
    train = jobs[1].data.splits["train"]
    other = Split(train.images.clone(), train.labels.flip(0), train.index.flip(0))
    data = dataclasses.replace(jobs[1].data, splits={**jobs[1].data.splits, "train": other})
    if jobs[0].last_batch != "drop" or jobs[0].batch < 47:
        jobs[1] = dataclasses.replace(jobs[1], data=data)
    feeds = [feed_of(job) for job in jobs]
    epochs = Epochs(feeds, begin, 0, FakeTrack())
    for step in range(begin, begin + 7):
        x, y, _ = epochs.batch(epochs.go_to(step))
        for row, feed in enumerate(feeds):
            expected_x, expected_y = feed.pixels(step)
            assert torch.equal(x[row], expected_x)
            assert torch.equal(y[row], expected_y)


def test_a_tensor_that_is_replaced_is_not_seen_by_what_was_recorded(monkeypatch):
    """The fault that these tests are for: an epoch in new tensors, not in the recorded ones."""
    job = job_of("lenet")
    state = start(job, 0.5)
    expected, _ = opened([job], [state])
    expected.advance(9)

    def replacing(self, epoch):
        filled(self, epoch)
        self.numbers = self.numbers.clone()

    filled = Epochs._fill
    monkeypatch.setattr(Epochs, "_fill", replacing)
    networks, _ = opened([job], [state])
    networks.advance(9)
    ends = [next(iter(n.state(0).weights.values())) for n in (networks, expected)]
    assert not torch.equal(*ends)


def test_dropout_that_is_not_copied_is_not_seen_by_what_was_recorded(monkeypatch):
    job = job_of("conv-2")
    state = start(job, 0.5)
    expected, _ = opened([job], [state])
    expected.advance(3)

    def forgetting(self, drops):
        replay(self, self.drops or drops)

    replay = Lane._replay
    monkeypatch.setattr(Lane, "_replay", forgetting)
    networks, _ = opened([job], [state])
    networks.advance(3)
    ends = [next(iter(n.state(0).weights.values())) for n in (networks, expected)]
    assert not torch.equal(*ends)


def test_a_step_that_cannot_be_recorded_is_launched_as_it_is():
    class Refusing(FakeTrack):
        def record(self, work):
            work()
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    job = job_of("lenet")
    state = start(job, 0.5)
    notes = []
    recording = Recording(CPU, notes.append, track=Refusing)
    networks = recording.lanes({0: job}, {0: state}, 1)
    networks.advance(7)
    session = UNCOMPILED.open(job, state)
    session.advance(7)
    same(networks.state(0), session.state())
    assert notes == [
        "steps are not recorded, but launched one by one: "
        "operation not permitted when stream is capturing"
    ]


def test_the_fake_track_replays_memory_and_not_python():
    track = FakeTrack()
    source, place, factor = torch.ones(3), torch.zeros(3), [2.0]

    def work():
        place.copy_((source[1:].repeat(2)[:3] * factor[0]).relu())

    replay = track.record(work)
    source.fill_(5.0)
    factor[0] = 100.0
    replay()
    assert place.tolist() == [10.0] * 3
    source = torch.zeros(3)
    replay()
    assert place.tolist() == [10.0] * 3
    with pytest.raises(RuntimeError, match="capturing"):
        track.record(lambda: place.mul_(place.sum().item()))
    with pytest.raises(RuntimeError, match="random numbers"):
        track.record(lambda: place.copy_(torch.rand(3)))
