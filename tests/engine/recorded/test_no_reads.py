"""Between two looks the host reads nothing: on a device that has no numbers to read."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from conformance import ADAM, OPTIMIZERS, lenet, make_job, start, training_data
from networks import PreActivation
from tracks import META, MetaTrack

from winnow.engine.recorded import epochs, evaluating, ledger, single, together
from winnow.engine.recorded.opening import Recording
from winnow.models import build

SHAPE = (3, 8, 8)


def convolutional(**changes):
    data = dataclasses.replace(training_data(SHAPE), augment="flip-crop")
    return make_job(
        lambda: build("conv-2", inputs=SHAPE, classes=10, dropout=0.5), data, clip=1.0, **changes
    )


JOBS = {
    "lenet": lambda: make_job(lenet(), training_data((1, 4, 4)), optimizer=ADAM),
    "conv-2": convolutional,
    "batch norm": lambda: make_job(PreActivation, training_data(SHAPE), optimizer=OPTIMIZERS[1]),
}


def opened(job, form="lanes", places=2):
    """Networks on the meta device, and their tracks."""
    tracks: list[MetaTrack] = []

    def track(device):
        tracks.append(MetaTrack(device))
        return tracks[-1]

    recording = Recording(META, pytest.fail, track=track)
    state = start(job, 0.5)
    jobs, states = dict.fromkeys(range(places), job), dict.fromkeys(range(places), state)
    return getattr(recording, form)(jobs, states, places), tracks


def advanced(networks, tracks, to):
    for track in tracks:
        track.steps = to - networks.step
    with tracks[0].watched():
        networks.advance(to)


@pytest.mark.parametrize("form", ["lanes", "rows"])
@pytest.mark.parametrize("name", JOBS)
def test_steps_are_launched_without_a_read(name, form):
    """Over three epochs of 3 batches, the last of them smaller: one read, of all numbers."""
    networks, tracks = opened(JOBS[name](), form)
    advanced(networks, tracks, 9)
    rows = 2 if form == "rows" else 1
    assert [track.reads for track in tracks] == [[(3, rows)]] * len(tracks)
    assert networks.stats(0).seen == 9
    assert networks.stats(1).loss == 1.0


@pytest.mark.parametrize("form", ["lanes", "rows"])
def test_a_split_is_evaluated_with_one_read(form, monkeypatch):
    monkeypatch.setattr(evaluating, "EVALUATION_BATCH", 6)  # 20 examples: 3 full batches, and 2
    networks, tracks = opened(convolutional(), form)
    with tracks[0].watched():
        networks.evaluate("test", 0)
        networks.evaluate("test", 1)
    assert [len(track.reads) for track in tracks] == [1] * len(tracks)


def test_the_flag_is_looked_at_every_so_many_steps(monkeypatch):
    monkeypatch.setattr(together, "LOOK_EVERY", 4)
    networks, (track,) = opened(JOBS["lenet"](), places=1)
    for _ in range(2):
        track.steps = 4
        networks.advance(networks.step + 4)
    assert track.reads == [(3, 1)] * 2


READS = {
    "item": lambda t: t.flatten()[:1].item(),
    "float": lambda t: float(t.flatten()[0]),
    "bool": lambda t: bool(t.flatten()[0] > 0),
    "tolist": lambda t: t.tolist(),
    "cpu": lambda t: t.cpu(),
    "numpy": lambda t: t.numpy(),
    "nonzero": lambda t: t.nonzero(),
    "mask": lambda t: t[t > 0],
    "equal": lambda t: torch.equal(t, t),
    "upload": lambda t: t + torch.ones(t.shape),
    "upload a number": lambda t: t * torch.tensor(2.0).to(t.device),
    "make": lambda t: t + torch.tensor([1.0], device=t.device),
}
PLACES = {
    "step": (single.Single, "step"),
    "batch": (epochs.Epochs, "batch"),
    "ledger": (ledger, "fine"),
    "draws": (single.Single, "draw"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("read", READS)
def test_a_read_that_slips_in_is_found(place, read, monkeypatch):
    """Each way to read, at each place of a step: the check of the tests above turns red."""
    owner, name = PLACES[place]
    true = getattr(owner, name)

    def reading(*args):
        found = true(*args)
        READS[read](found[0] if isinstance(found, tuple | list) else found)
        return found

    networks, tracks = opened(convolutional())
    monkeypatch.setattr(owner, name, reading)
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        advanced(networks, tracks, 3)
