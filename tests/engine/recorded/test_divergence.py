"""A flag on the device that sticks: runs that diverge end as in the other engines."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from conformance import close, make_job, same, start, training_data
from recorded_jobs import feed_of, job_of, opened
from tracks import FakeTrack

from winnow.engine.base import Split
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.recorded import together
from winnow.engine.recorded.epochs import Epochs

DENSE, UNCOMPILED = DenseEngine("cpu"), CompiledEngine("cpu", backend=None)


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
    again = networks.stats(0)  # it is told each time, and the state stays
    assert (again.step, again.diverged_at) == (stats.step, stats.diverged_at)
    assert networks.state(0).step == stats.step
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
