"""Every engine against a float64 reference: trajectories, exact zeros, resuming, divergence."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from conformance import (
    ADAM,
    CONSTANT,
    OPTIMIZERS,
    close,
    lenet,
    make_job,
    open_or_skip,
    reference,
    same,
    start,
    trained,
    training_data,
)
from torch import nn

from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.models import build
from winnow.state import State


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda spec: spec["name"])
@pytest.mark.parametrize("density", [None, 0.5, 0.1])
def test_trajectory_is_the_reference(engine, optimizer, density):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=optimizer)
    state = start(job, density)
    expected = reference(job, state, 60)
    weights = trained(engine, job, state, 60).weights
    moved = max(float((w - state.weights[n]).abs().max()) for n, w in weights.items())
    assert moved > 0.05
    for name, weight in weights.items():
        torch.testing.assert_close(weight.double(), expected[name], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda spec: spec["name"])
def test_removed_weights_and_their_slots_stay_exactly_zero(engine, optimizer):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=optimizer, clip=0.5)
    state = start(job, 0.3)
    end = trained(engine, job, state, 40)
    for name, keep in state.mask.items():
        for tensors in [end.weights, *end.slots.values()]:
            removed = tensors[name][~keep]
            assert torch.equal(removed, torch.zeros_like(removed))
        assert bool((end.weights[name][keep] != 0).all())


def test_a_clipped_gradient_is_masked_first(engine):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=OPTIMIZERS[0], clip=0.05)
    state = start(job, 0.3)
    expected = reference(job, state, 30)
    unclipped = trained(engine, dataclasses.replace(job, clip=None), state, 30).weights
    for name, weight in trained(engine, job, state, 30).weights.items():
        torch.testing.assert_close(weight.double(), expected[name], rtol=1e-3, atol=1e-5)
        assert not torch.allclose(weight, unclipped[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "shape", "options"),
    [
        ("lenet-300-100", (1, 4, 4), {"hidden": [12, 8]}),
        ("conv-2", (3, 8, 8), {"dropout": 0.5}),
        ("resnet-20", (3, 8, 8), {"width": 0.25}),
    ],
)
@pytest.mark.parametrize("cut", [1, 5])
def test_a_resumed_run_is_bit_identical(engine, network, shape, options, cut):
    data = dataclasses.replace(
        training_data(shape), augment="flip-crop" if shape[0] == 3 else "none"
    )
    job = make_job(
        lambda: build(network, inputs=shape, classes=10, **options),
        data,
        optimizer=OPTIMIZERS[1],
        steps=8,
    )
    state = start(job, 0.5)
    whole = trained(engine, job, state, 8)
    torch.manual_seed(99)  # what anything else draws must not matter
    part = trained(engine, job, state, cut)
    torch.rand(17)
    same(whole, trained(engine, job, part, 8))


@pytest.mark.parametrize("optimizer", OPTIMIZERS[5:], ids=["plain", "momentum"])
def test_a_resumed_rmsprop_is_bit_identical_and_has_its_slots(engine, optimizer):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=optimizer, clip=0.5)
    state = start(job, 0.5)
    whole = trained(engine, job, state, 20)
    part = trained(engine, job, state, 7)
    assert set(part.slots) == {"square_avg", "momentum_buffer"} - (
        set() if optimizer["momentum"] else {"momentum_buffer"}
    )
    assert part.updates == 7
    same(whole, trained(engine, job, part, 20))


def test_the_sparse_engine_leaves_rmsprop_to_others_by_name():
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=OPTIMIZERS[5])
    assert SparseEngine().refuses(job) == "it has no kernel for the optimizer rmsprop"


def test_schedules_are_those_of_the_reference(engine):
    schedule = {"name": "exponential", "drops": [], "factor": 0.5, "every": 7, "warmup": 3}
    for chosen in (schedule, schedule | {"name": "linear", "every": None, "factor": None}):
        job = make_job(lenet(), training_data((1, 4, 4)), schedule=chosen, steps=30)
        state = start(job, 0.5)
        close(trained(engine, job, state, 30), trained(DenseEngine("cpu"), job, state, 30))


def test_how_far_each_call_goes_changes_no_number(engine):
    job = make_job(lenet(), training_data((1, 4, 4)))
    state = start(job, 0.5)
    session = engine.open(job, state)
    for to in (1, 2, 2, 17, 60):
        session.advance(to)
        session.evaluate("validation")
    same(session.state(), trained(engine, job, state, 60))


def test_evaluation_is_that_of_the_whole_split(engine):
    job = make_job(lenet(), training_data((1, 4, 4)))
    state = start(job, 0.5)
    for split_name, count in (("train", 47), ("validation", 20), ("test", 20)):
        metrics = engine.open(job, state).evaluate(split_name)
        model = job.build().double()
        model.load_state_dict({**state.weights, **state.buffers})
        split = job.data.splits[split_name]
        x, y = split.images[split.index], split.labels[split.index]
        logits = model((x.double() - 127.5) / 73.9)
        assert len(y) == count
        assert metrics.loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-5)
        assert metrics.accuracy == pytest.approx((logits.argmax(1) == y).double().mean().item())


@pytest.mark.parametrize(
    ("network", "options", "optimizer"),
    [
        ("conv-2", {"dropout": 0.5}, ADAM | {"lr": 1e-3}),
        ("resnet-20", {"width": 0.25}, OPTIMIZERS[1] | {"lr": 5e-3}),
    ],
)
def test_augmentation_dropout_and_batch_norm_are_those_of_dense(
    engine, network, options, optimizer
):
    data = dataclasses.replace(training_data((3, 8, 8)), augment="flip-crop")
    job = make_job(
        lambda: build(network, inputs=(3, 8, 8), classes=10, **options),
        data,
        optimizer=optimizer,
        clip=1.0,
    )
    state = start(job, 0.5)
    sessions = [open_or_skip(e, job, state) for e in (engine, DenseEngine("cpu"))]
    mine, theirs = (session.advance(7) for session in sessions)
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-5)
    close(*(session.state() for session in sessions))
    mine, theirs = (session.evaluate("validation") for session in sessions)
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-4)


def test_sessions_side_by_side_are_trained_as_if_alone(engine):
    jobs = [
        make_job(lenet(), training_data((1, 4, 4)), seeds={"order": o, "augment": 0, "dropout": 0})
        for o in (1, 2)
    ]
    states = [start(job, d) for job, d in zip(jobs, (0.5, None), strict=True)]
    sessions = [engine.open(job, state) for job, state in zip(jobs, states, strict=True)]
    for to in (3, 4, 10):  # in turns
        for session in sessions:
            session.advance(to)
    for job, state, session in zip(jobs, states, sessions, strict=True):
        same(session.state(), trained(engine, job, state, 10))


def test_divergence_is_told_before_the_step(engine):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=OPTIMIZERS[0] | {"lr": 1e30})
    session = engine.open(job, start(job, None))
    stats = session.advance(60)
    assert stats.diverged_at is not None
    assert 2 <= stats.diverged_at <= 10
    state = session.state()
    assert state.step == stats.diverged_at - 1
    assert not math.isfinite(stats.loss)


def test_an_infinite_gradient_of_a_finite_loss_is_divergence(engine):
    class Cliff(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten, self.linear = nn.Flatten(), nn.Linear(16, 10)

        def forward(self, x):
            logits = self.linear(self.flatten(x))
            return torch.sqrt(logits.abs() * 0) + logits  # finite, with a slope that is not

    job = make_job(Cliff, training_data((1, 4, 4)))
    model = job.build()
    state = State(0, dict(model.state_dict()), {})
    session = open_or_skip(engine, job, state)
    stats = session.advance(5)
    assert stats.diverged_at == 1
    assert torch.equal(session.state().weights["linear.weight"], state.weights["linear.weight"])


def test_a_layer_without_weights_trains(engine):
    job = make_job(lenet(), training_data((1, 4, 4)), schedule=CONSTANT)
    state = start(job, 0.0)
    end = trained(engine, job, state, 20)
    assert all(int((end.weights[n] != 0).sum()) == 0 for n in state.mask)
    biases = [w for n, w in end.weights.items() if n not in state.mask]
    assert any(float(b.abs().max()) > 0 for b in biases)
