"""Recorded steps, replayed on the memory that they were recorded on, against the other engines."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from conformance import OPTIMIZERS, close, same, start
from recorded_jobs import NETWORKS, job_of, opened
from tracks import CPU, FakeTrack

from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.recorded.epochs import Epochs
from winnow.engine.recorded.lane import Lane
from winnow.engine.recorded.opening import Recording

DENSE, UNCOMPILED = DenseEngine("cpu"), CompiledEngine("cpu", backend=None)


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
