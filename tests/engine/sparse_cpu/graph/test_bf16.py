"""Graphs whose maps lie in memory as bf16, against autograd in float64, at bf16's tolerance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conformance import (
    ADAM,
    OPTIMIZERS,
    differentiate,
    lenet,
    make_job,
    random_mask,
    same,
    training_data,
)
from networks import Mixed, PreActivation, Residual, Shared
from normed_networks import NORMED
from torch import Tensor, nn

from winnow import rng
from winnow.data.order import Batches
from winnow.engine import make_engine
from winnow.engine.base import Job
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.sparse_cpu.graph import segments, streaming
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.errors import UserError
from winnow.models import build
from winnow.state import State, fresh_state

SHAPE = (3, 8, 8)
DESCENT = OPTIMIZERS[0] | {"lr": 1.0, "weight_decay": 0.0}  # an update is the gradient


def resnet() -> nn.Module:
    return build("resnet-20", inputs=SHAPE, classes=10, width=0.25)


def conv() -> nn.Module:
    return build("conv-2", inputs=SHAPE, classes=10, dropout=0.5)


ALL = [resnet, conv, Residual, Mixed, Shared, PreActivation, *NORMED]


def bf16(threads: int = 1) -> SparseEngine:
    return SparseEngine(threads=threads, storage=Storage.BF16)


def begun(make, density: float | None = 0.5, seed: int = 5, **changes) -> tuple[Job, State]:
    torch.manual_seed(seed)
    model = make()
    job = make_job(make, training_data(SHAPE), **{"optimizer": DESCENT, "batch": 40} | changes)
    return job, fresh_state(model, None if density is None else random_mask(model, density))


def step_of(engine, job: Job, state: State) -> dict[str, Tensor]:
    session = engine.open(job, state)
    session.advance(1)
    after = session.state().weights
    return {name: state.weights[name] - weight for name, weight in after.items()}


def off(mine: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """How far all gradients together are from the exact ones, as a share of their length."""
    both = [(mine[n].double(), g) for n, g in exact.items()]
    return float(sum((m - g).square().sum() for m, g in both).sqrt()) / float(
        sum(g.square().sum() for _, g in both).sqrt()
    )


def autocast(job: Job, state: State) -> dict[str, Tensor]:
    """The gradient of torch's own bf16: activations and weights rounded, batch norm in float32."""
    model = job.build()
    model.load_state_dict({**state.weights, **state.buffers})
    split = job.data.splits["train"]
    batches = Batches(len(split.index), job.batch, job.last_batch, job.seeds["order"])
    x, y = split.take(torch.tensor(batches.indices(0)))
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (job.data.mean, job.data.std))
    torch.manual_seed(rng.torch_seed(job.seeds["dropout"], "dropout", 0))
    weights = dict(model.train().named_parameters())
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model((x.float() - mean) / std).float(), y)
    made = zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True)
    keep = state.mask or {}
    return {name: g * keep[name] if name in keep else g for name, g in made}


@pytest.mark.parametrize(
    "fits", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["strips", "whole"]
)
@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_the_gradient_is_as_far_from_the_exact_one_as_torchs_own_bf16(monkeypatch, make, fits):
    if not fits:
        monkeypatch.setattr(streaming, "_SCRATCH", 0)
        monkeypatch.setattr(streaming, "_MOST", 0)
    ours, torchs = 0.0, 0.0
    for seed in range(3):
        job, state = begun(make, seed=seed)
        model = job.build().double()
        model.load_state_dict({**state.weights, **state.buffers})
        exact = differentiate(job, state, model, 0)[1]
        ours += off(step_of(bf16(), job, state), exact) / 3
        torchs += off(autocast(job, state), exact) / 3
    assert 1e-4 < ours < 2 * torchs


def test_activations_and_their_gradients_take_half_the_bytes_and_scratch_does_not():
    job, state = begun(resnet)
    session = bf16().open(job, state)
    session.advance(1)
    graph = session.graph
    stored = {id(op.out.buffer[0].base): op.out.buffer[0] for op in graph.operations
              if op.out.buffer}  # fmt: skip
    assert {a.dtype for a in stored.values()} == {np.dtype(np.uint16)}
    assert graph.x.buffer[0].dtype == graph.logits_delta[0].dtype == np.uint16
    assert all(p.strips.x and p.strips.delta for p in graph.products[:-1])


@pytest.mark.parametrize("make", [resnet, Residual, Mixed])
def test_resumed_and_on_several_threads_the_bits_are_the_same(monkeypatch, make):
    monkeypatch.setattr(segments, "_CACHE", 1)  # else such small maps go through in one lane
    job, state = begun(make, optimizer=OPTIMIZERS[1] | {"lr": 0.01})
    job = dataclasses.replace(job, data=dataclasses.replace(job.data, augment="flip-crop"))
    whole = bf16().open(job, state)
    whole.advance(5)
    session = bf16(threads=2).open(job, state)
    session.advance(2)
    session = bf16(threads=4).open(job, session.state())
    session.advance(5)
    same(session.state(), whole.state())
    assert session.evaluate("test") == whole.evaluate("test")
    for name, keep in state.mask.items():
        assert not whole.state().weights[name][~keep].any()


def test_it_learns_as_dense_does():
    adam = {"optimizer": ADAM, "steps": 150}
    job, state = begun(PreActivation, 0.5, **adam)
    first = bf16().open(job, state).advance(1).loss
    ends = [e.open(job, state).advance(150).loss for e in (bf16(), DenseEngine("cpu"))]
    assert max(ends) < 0.8 * first
    assert abs(ends[0] - ends[1]) < first / 10


def test_a_loss_that_is_not_finite_ends_the_run():
    job, state = begun(resnet, None, optimizer=DESCENT | {"lr": 1e30})
    session = bf16().open(job, state)
    assert session.advance(10).diverged_at is not None


def test_chains_of_linear_layers_are_refused_with_the_reason():
    engine = make_engine("sparse-bf16")
    assert engine.name == "sparse-bf16"
    job = make_job(lenet(), training_data((1, 4, 4)))
    with pytest.raises(UserError, match="engine: sparse-bf16 cannot train this: it is a chain"):
        engine.open(job, fresh_state(job.build()))
