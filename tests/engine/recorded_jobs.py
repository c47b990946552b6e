"""Jobs whose steps are recorded, and networks that train on tracks without a GPU."""

from __future__ import annotations

import dataclasses

import pytest
from conformance import OPTIMIZERS, lenet, make_job, training_data
from networks import PreActivation
from tracks import CPU, FakeTrack

from winnow.engine.feed import Feed
from winnow.engine.recorded.opening import Recording
from winnow.models import build

SHAPE = (3, 8, 8)


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


def feed_of(job):
    return Feed(job, CPU)
