"""What the conformance suite does not ask of the sparse engine: long runs, guards, memory."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from conformance import (
    OPTIMIZERS,
    lenet,
    make_job,
    random_mask,
    reference,
    start,
    training_data,
)
from torch import nn

from winnow import engine as engines
from winnow.engine.base import TrainingData
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.sparse_cpu.kernels.update import RULES
from winnow.errors import UserError
from winnow.kernels.simd import W
from winnow.mask import Mask
from winnow.state import State, fresh_state, masked

SHAPE = (1, 6, 6)
FUSED = [spec for spec in OPTIMIZERS if spec["name"] in RULES]
SGD, ADAM = OPTIMIZERS[0], OPTIMIZERS[3] | {"lr": 1e-3}


def advanced(job, state, to):
    session = SparseEngine().open(job, state)
    stats = session.advance(to)
    return stats, session.state()


def equal(one: State, other: State) -> bool:
    slots = [(one.slots[s], other.slots[s]) for s in one.slots] if one.slots else []
    groups = [(one.weights, other.weights), *slots]
    return all(torch.equal(mine[n], theirs[n]) for mine, theirs in groups for n in mine)


@pytest.mark.parametrize(
    ("density", "optimizer"),
    # At 0.02 no path is left: the first gradients are 0 but for rounding, and Adam, which divides
    # by their size, would follow that.
    [(None, ADAM), (0.5, ADAM), (0.1, ADAM), (0.02, OPTIMIZERS[1])],
)
@pytest.mark.parametrize("batch", [20, 130])
def test_two_hundred_steps(density, optimizer, batch):
    data = training_data(SHAPE, count=250)  # the last batch of an epoch has 10, or 120
    job = make_job(lenet(SHAPE), data, optimizer=optimizer, batch=batch, steps=200)
    state = start(job, density)
    expected = reference(job, state, 200)
    stats, end = advanced(job, state, 200)
    assert stats.step == 200
    for name, weight in end.weights.items():
        torch.testing.assert_close(weight.double(), expected[name], rtol=1e-4, atol=1e-5)


def test_losses_are_those_of_the_dense_engine():
    job = make_job(lenet(SHAPE), training_data(SHAPE), optimizer=ADAM)
    state = start(job, 0.3)
    dense = DenseEngine("cpu").open(job, state).advance(7)
    assert advanced(job, state, 7)[0].loss == pytest.approx(dense.loss, rel=1e-5)


@pytest.mark.parametrize("optimizer", FUSED, ids=lambda spec: spec["name"])
@pytest.mark.parametrize("batch", [20, 130])
def test_updates_fused_with_the_gradient_change_no_bit(optimizer, batch):
    data = training_data(SHAPE, count=250)
    job = make_job(lenet(SHAPE), data, optimizer=optimizer, batch=batch)
    unfused = dataclasses.replace(job, clip=1e30)  # clips nothing, but asks for the norm first
    state = start(job, 0.3)
    assert equal(advanced(job, state, 30)[1], advanced(unfused, state, 30)[1])


@pytest.mark.parametrize("cut", [1, 3, 29])
def test_resumed_in_the_middle_of_an_epoch(cut):
    job = make_job(lenet(SHAPE), training_data(SHAPE), optimizer=ADAM)
    state = start(job, 0.3)
    whole = advanced(job, state, 30)[1]
    assert equal(whole, advanced(job, advanced(job, state, cut)[1], 30)[1])


def test_a_state_of_the_dense_engine_is_continued():
    job = make_job(lenet(SHAPE), training_data(SHAPE), optimizer=ADAM)
    state = start(job, 0.3)
    session = DenseEngine("cpu").open(job, state)
    session.advance(20)
    half = session.state()
    session.advance(40)
    _, end = advanced(job, half, 40)
    for name, weight in session.state().weights.items():
        torch.testing.assert_close(end.weights[name], weight, rtol=1e-3, atol=1e-5)


def test_weights_removed_only_now_lose_their_slots():
    job = make_job(lenet(SHAPE), training_data(SHAPE), optimizer=ADAM)
    half = advanced(job, start(job, None), 5)[1]
    pruned = dataclasses.replace(half, mask=random_mask(job.build(), 0.2))
    state = SparseEngine().open(job, pruned).state()
    assert equal(state, masked(pruned))


def test_a_mask_may_remove_biases():
    job = make_job(lenet(SHAPE), training_data(SHAPE), optimizer=SGD)
    keep = {n: torch.arange(p.numel()).view(p.shape) % 3 == 0 for n, p in named(job).items()}
    state = start(job, None)
    state = masked(dataclasses.replace(state, mask=Mask(keep)))
    _, end = advanced(job, state, 30)
    expected = reference(job, state, 30)
    for name, weight in end.weights.items():
        torch.testing.assert_close(weight.double(), expected[name], rtol=1e-3, atol=1e-5)
        assert torch.equal(weight[~keep[name]], torch.zeros_like(weight[~keep[name]]))


def named(job):
    return dict(job.build().named_parameters())


def test_memory_is_proportional_to_nonzeros():
    build = lenet((1, 30, 30))
    job = make_job(build, training_data((1, 30, 30)), optimizer=ADAM, batch=1)
    state = start(job, 0.1)
    session = SparseEngine().open(job, state)
    network = session.weights.network
    nonzeros = state.mask.kept + sum(p.numel() for p in named(job).values() if p.ndim == 1)
    for array in (network.weight, network.first, network.second, network.gradient):
        assert nonzeros <= array.size <= nonzeros + 3 * W


class Chain(nn.Module):
    """Weights of the first layer times 1 / ``far``, of the second times ``far``."""

    def __init__(self, far: float) -> None:
        super().__init__()
        self.flatten, self.relu = nn.Flatten(), nn.ReLU()
        self.one, self.two = nn.Linear(36, 4, bias=False), nn.Linear(4, 10, bias=False)
        self.one.weight.data.fill_(1e-3 / far)
        self.two.weight.data.normal_(generator=torch.Generator().manual_seed(0)).mul_(far)

    def forward(self, x):
        return self.two(self.relu(self.one(self.flatten(x))))


def far_job(far: float):
    usual = training_data(SHAPE)
    data = TrainingData(usual.splits, (0.0,), (255.0,))  # all pixels positive: every ReLU is open
    job = make_job(lambda: Chain(far), data, optimizer=SGD | {"lr": 1e-36, "weight_decay": 0.0})
    return job, fresh_state(job.build())


def test_a_gradient_that_overflows_stops_before_the_update():
    job, state = far_job(1e30)
    stats, end = advanced(job, state, 5)
    assert stats.diverged_at == 1
    assert (end.step, end.updates) == (0, 0)
    assert equal(end, state)


def test_a_gradient_too_large_to_be_sure_of_is_looked_at_and_used():
    job, state = far_job(2e18)  # squares fit float32, but the bound does not say so
    stats, end = advanced(job, state, 5)
    assert stats.diverged_at is None
    assert end.updates == 5
    dense = DenseEngine("cpu").open(job, state)
    assert dense.advance(5).diverged_at is None
    for name, weight in dense.state().weights.items():
        torch.testing.assert_close(end.weights[name], weight, rtol=1e-4, atol=0)


def test_a_label_without_output_is_refused():
    usual = training_data(SHAPE, classes=11)
    job = make_job(lenet(SHAPE), usual)
    with pytest.raises(UserError, match="labels go from 0 to 10, but the network has 10 outputs"):
        SparseEngine().open(job, start(job, None))


class Fork(nn.Module):
    """Its forward looks at numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(36, 10)

    def forward(self, x):
        y = self.linear(x.flatten(1))
        return y if y.sum() > 0 else -y


def test_a_refused_job_says_why_and_what_to_write():
    job = make_job(Fork, training_data(SHAPE))
    with pytest.raises(UserError, match=r"cannot be traced \(symbolically.*engine: auto"):
        SparseEngine().open(job, fresh_state(job.build()))


def test_images_of_another_size_are_refused():
    job = make_job(lenet((1, 5, 5)), training_data(SHAPE))
    assert "does not take images of (1, 6, 6)" in SparseEngine().refuses(job)


def test_the_engine_has_its_name():
    assert engines.make_engine("sparse").name == "sparse"
