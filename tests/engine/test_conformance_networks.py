"""Every engine on networks with convolutions, batch norm, pools, dropout and residual sums."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from conformance import (
    OPTIMIZERS,
    differentiate,
    make_job,
    open_or_skip,
    random_mask,
    reference,
    same,
    trained,
    training_data,
)
from networks import Mixed, PreActivation, Residual, Shared

from winnow.engine.dense import DenseEngine
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

TINY, SMALL, LARGE = (3, 4, 4), (3, 8, 8), (3, 16, 16)
NETWORKS = {
    "conv-2": (TINY, lambda: build("conv-2", inputs=TINY, classes=10)),
    "conv-2-dropout": (TINY, lambda: build("conv-2", inputs=TINY, classes=10, dropout=0.5)),
    "vgg-11": (LARGE, lambda: build("vgg-11", inputs=LARGE, classes=10, width=0.125)),
    "resnet-20": (SMALL, lambda: build("resnet-20", inputs=SMALL, classes=10, width=0.25)),
    "resnet-20-padded": (
        SMALL,
        lambda: build("resnet-20", inputs=SMALL, classes=10, width=0.5, shortcut="padded"),
    ),
    "residual": (SMALL, Residual),
    "mixed": (SMALL, Mixed),
    "shared": (SMALL, Shared),
    "pre-activation": (SMALL, PreActivation),
}
SGD = {"name": "sgd", "lr": 1.0, "weight_decay": 0.0}


def a_job(name: str, **changes):
    shape, make = NETWORKS[name]
    data = dataclasses.replace(training_data(shape), augment=changes.pop("augment", "none"))
    return make_job(make, data, **changes)


def a_start(job, density, seed=7):
    """Masked weights, biases and scales, none of them 0 where it is kept."""
    torch.manual_seed(seed)
    model = job.build()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return fresh_state(model, None if density is None else random_mask(model, density))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("density", [None, 0.5, 0.1, 0.02, 0.0])
def test_one_step_follows_the_gradient(engine, name, density):
    job = a_job(name, optimizer=SGD, batch=19, augment="flip-crop" if density == 0.5 else "none")
    state = a_start(job, density)
    model = job.build().double()
    model.load_state_dict({**state.weights, **state.buffers})
    loss, gradients = differentiate(job, state, model, 0)
    session = open_or_skip(engine, job, state)
    stats = session.advance(1)
    end = session.state()
    assert stats.loss == pytest.approx(loss, rel=1e-5)
    largest = max(float(g.abs().max()) for g in gradients.values())
    for parameter, gradient in gradients.items():
        moved = state.weights[parameter].double() - end.weights[parameter].double()
        # Where all of a channel is nearly one value, batch norm makes rounding 300 times larger.
        torch.testing.assert_close(moved, gradient, rtol=1e-4, atol=1e-5 * (1 + largest))
    for buffer, value in model.named_buffers():
        torch.testing.assert_close(
            end.buffers[buffer].double(), value.double(), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("density", [None, 0.3])
def test_trajectory_is_the_reference(engine, name, density):
    """A few small steps: batch norm and ReLU make what follows rounding errors grow."""
    optimizer = OPTIMIZERS[1] | {"lr": 0.01}
    job = a_job(name, optimizer=optimizer, augment="flip-crop", last_batch="drop", clip=2.0)
    state = a_start(job, density)
    expected = reference(job, state, 5)
    end = trained(engine, job, state, 5)
    moved = max(float((w - state.weights[n]).abs().max()) for n, w in end.weights.items())
    assert moved > 0.002
    for group in (end.weights, end.buffers):
        for key, value in group.items():
            wanted = expected[key].to(torch.float64)
            torch.testing.assert_close(value.double(), wanted, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda spec: spec["name"])
def test_every_optimizer(engine, optimizer):
    job = a_job("shared", optimizer=optimizer | {"lr": optimizer["lr"] / 10})
    state = a_start(job, 0.5)
    expected = reference(job, state, 12)  # over the odd last batches of four epochs
    end = trained(engine, job, state, 12)
    for key, value in end.weights.items():
        torch.testing.assert_close(value.double(), expected[key], rtol=2e-3, atol=2e-4)
    for key, keep in state.mask.items():
        for tensors in [end.weights, *end.slots.values()]:
            removed = tensors[key][~keep]
            assert torch.equal(removed, torch.zeros_like(removed))


def test_two_hundred_steps(engine):
    job = a_job("shared", optimizer=OPTIMIZERS[0] | {"lr": 0.02}, steps=200)
    state = a_start(job, 0.3)
    expected = reference(job, state, 200)
    for key, value in trained(engine, job, state, 200).weights.items():
        torch.testing.assert_close(value.double(), expected[key], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["residual", "mixed", "vgg-11"])
@pytest.mark.parametrize("cut", [1, 5])
def test_a_resumed_run_is_bit_identical(engine, name, cut):
    job = a_job(name, optimizer=OPTIMIZERS[1], steps=8, augment="flip-crop")
    state = a_start(job, 0.5)
    whole = trained(engine, job, state, 8)
    torch.manual_seed(99)  # what anything else draws must not matter
    part = trained(engine, job, state, cut)
    torch.rand(17)
    same(whole, trained(engine, job, part, 8))


def test_biases_before_batch_norm_are_trained_and_change_no_output(engine):
    """Their gradient is 0 but for rounding, so they themselves are compared with nothing."""

    def network(biased):
        return lambda: build("vgg-11", inputs=LARGE, classes=10, width=0.125, conv_bias=biased)

    data = training_data(LARGE)
    plain, biased = (
        make_job(network(b), data, optimizer=OPTIMIZERS[1] | {"lr": 0.01}) for b in (False, True)
    )
    model = biased.build()
    initialise(model, "kaiming-normal", 1)
    start = fresh_state(model, random_mask(model, 0.5))
    weights = {
        n: w for n, w in start.weights.items() if n in dict(plain.build().named_parameters())
    }
    bare = dataclasses.replace(start, weights=weights)
    sessions = [open_or_skip(engine, biased, start), DenseEngine("cpu").open(plain, bare)]
    mine, theirs = (session.advance(5) for session in sessions)
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-4)
    end = sessions[0].state().weights
    for name, value in sessions[1].state().weights.items():
        torch.testing.assert_close(end[name], value, rtol=2e-3, atol=2e-4)
    assert len(end) == len(weights) + 8


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_that_of_the_whole_split(engine, name):
    job = a_job(name, optimizer=OPTIMIZERS[1] | {"lr": 1e-3}, augment="flip-crop", batch=13)
    session = open_or_skip(engine, job, a_start(job, 0.5))
    session.advance(3)
    state = session.state()
    for split_name, count in (("train", 47), ("test", 20)):
        model = job.build().double().eval()
        model.load_state_dict({**state.weights, **state.buffers})
        split = job.data.splits[split_name]
        x, y = split.images[split.index], split.labels[split.index]
        logits = model((x.double() - 127.5) / 73.9)
        metrics = session.evaluate(split_name)
        assert len(y) == count
        assert metrics.loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-4)
        assert metrics.accuracy == pytest.approx((logits.argmax(1) == y).double().mean().item())
    same(state, session.state())  # evaluation changed nothing


def test_a_layer_may_lose_all_its_weights(engine):
    job = a_job("resnet-20", optimizer=OPTIMIZERS[1] | {"lr": 0.01})
    state = a_start(job, 0.5)
    lost = "blocks.3.conv1.weight"
    mask = {n: k & (n != lost) for n, k in state.mask.items()}
    state = fresh_state(copy.deepcopy(job.build()), type(state.mask)(mask))
    end = trained(engine, job, state, 5)
    assert not end.weights[lost].any()
    assert torch.isfinite(end.weights["output.weight"]).all()


def test_divergence_is_told_before_the_step(engine):
    job = a_job("conv-2", optimizer=OPTIMIZERS[0] | {"lr": 1e30})
    model = job.build()
    initialise(model, "kaiming-normal", 1)
    session = open_or_skip(engine, job, fresh_state(model))
    stats = session.advance(60)
    assert stats.diverged_at is not None
    assert session.state().step == stats.diverged_at - 1


def test_dropout_of_probability_zero_needs_no_seed(engine):
    """Recipes leave the seed of what is not drawn out of a run's identity."""
    job = a_job("conv-2", seeds={"order": 3})
    session = open_or_skip(engine, job, a_start(job, 0.5))
    stats = session.advance(2)
    assert stats.step == 2
    assert stats.diverged_at is None
