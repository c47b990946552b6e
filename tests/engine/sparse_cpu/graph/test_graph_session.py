"""The sparse engine's graph: what the conformance suite, with its small maps, does not reach."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conformance import OPTIMIZERS, make_job, random_mask, same, trained, training_data
from hypothesis import given
from hypothesis import strategies as st
from networks import Mixed, PreActivation, Residual
from torch import nn

from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.sparse_cpu.graph import segments
from winnow.engine.sparse_cpu.graph.stages import MOST_LANES
from winnow.kernels.simd import W
from winnow.models import build
from winnow.state import fresh_state

SHAPE = (3, 8, 8)
MOMENTUM = OPTIMIZERS[1] | {"lr": 0.01}


def a_job(make, **changes):
    usual = {"optimizer": MOMENTUM, "batch": 40, "steps": 6}
    return make_job(make, training_data(SHAPE), **{**usual, **changes})


def a_state(make, density):
    torch.manual_seed(5)
    model = make()
    return fresh_state(model, random_mask(model, density))


def resnet():
    return build("resnet-20", inputs=SHAPE, classes=10, width=0.25)


@pytest.mark.parametrize("make", [resnet, Residual, Mixed, PreActivation])
def test_a_few_groups_at_a_time_give_the_same_steps(monkeypatch, make):
    job, state = a_job(make), a_state(make, 0.3)
    together = trained(SparseEngine(), job, state, 3)
    monkeypatch.setattr(segments, "_CACHE", 1)
    engine = SparseEngine()
    session = engine.open(job, state)
    graph = session.graph
    assert max(len(s.stages) for s in graph.back if s.groups == 1) >= 2
    session.advance(3)
    one_by_one = session.state()
    for mine, theirs in ((one_by_one.weights, together.weights),
                         (one_by_one.buffers, together.buffers)):  # fmt: skip
        for name, tensor in mine.items():
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [resnet, Residual, Mixed, PreActivation])
def test_bits_do_not_depend_on_threads(monkeypatch, make):
    monkeypatch.setattr(segments, "_CACHE", 1)  # else such small maps go through in one lane
    job, state = a_job(make, batch=47 - W // 4), a_state(make, 0.3)
    alone = SparseEngine().open(job, state)
    alone.advance(5)  # batches of three groups and of one in turns
    total = alone.graph.passes[0].total
    lanes = [segments.lane_shares(total, s.groups) for s in alone.graph.back if s.groups]
    assert max(map(len, lanes)) == total > 1
    for threads in (2, 4):
        session = SparseEngine(threads=threads).open(job, state)
        session.advance(5)
        same(session.state(), alone.state())
        assert session.evaluate("test") == alone.evaluate("test")


@given(st.integers(1, 200), st.integers(1, 40))
def test_lanes_share_all_groups(total, together):
    shares = segments.lane_shares(total, together)
    assert len(shares) == min(MOST_LANES, -(-total // together))
    assert [first for first, _ in shares] == [0, *np.cumsum([n for _, n in shares])[:-1]]
    assert sum(n for _, n in shares) == total
    assert max(n for _, n in shares) - min(n for _, n in shares) <= 1


@pytest.mark.parametrize("dense", [["first.weight"], ["third.weight", "hidden.weight"]])
def test_layers_that_torch_runs_dense_train_alike(dense):
    job, state = a_job(Residual), a_state(Residual, 0.3)
    sparse = trained(SparseEngine(), job, state, 4)
    engine = SparseEngine(dense)
    session = engine.open(job, state)
    parts = session.graph.parts
    assert {n for p in parts for n in p.names if n in dense} == set(dense)
    assert not engine.notes  # it was asked for
    session.advance(4)
    end = session.state()
    for name, weight in end.weights.items():
        torch.testing.assert_close(weight, sparse.weights[name], rtol=1e-3, atol=1e-6)
        if name in state.mask:
            assert not weight[~state.mask[name]].any()


def test_a_dense_layer_may_be_resumed_sparse():
    job, state = a_job(Residual), a_state(Residual, 0.3)
    part = trained(SparseEngine(["third.weight"]), job, state, 2)
    end = trained(SparseEngine(), job, part, 4)
    expected = trained(SparseEngine(), job, state, 4)
    for name, weight in end.weights.items():
        torch.testing.assert_close(weight, expected.weights[name], rtol=1e-3, atol=1e-6)


def test_what_torch_runs_is_noted():
    engine = SparseEngine()
    engine.open(a_job(Mixed), a_state(Mixed, 0.5))
    assert "run in torch: gelu (torch._C._nn.gelu)" in engine.notes
    assert "run in torch: groups (GroupNorm)" in engine.notes
    assert not any("third" in note or "relu" in note.split()[3] for note in engine.notes)


def test_memory_is_proportional_to_nonzeros():
    state = a_state(resnet, 0.1)
    session = SparseEngine().open(a_job(resnet), state)
    parameters = session.graph.parameters
    small = [p for p in state.weights.values() if p.ndim == 1]
    nonzeros = state.mask.kept + sum(p.numel() for p in small)
    for array in (parameters.weight, parameters.first, parameters.gradient):
        assert nonzeros <= array.size <= nonzeros + W * len(state.weights)
    assert parameters.second.size == 0
    assert all(p.numel() == 0 for p in session.graph.model.parameters())


def test_the_state_given_is_not_changed():
    job, state = a_job(Mixed), a_state(Mixed, 0.5)
    before = copy.deepcopy(state)
    trained(SparseEngine(), job, state, 2)
    same(before, state)


def test_a_batch_of_one_value_has_no_variance():
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4), nn.Linear(4, 10))

    job = a_job(make, batch=46)  # of 47
    session = SparseEngine().open(job, a_state(make, 0.5))
    session.advance(1)
    with pytest.raises(ValueError, match="batch of one value"):
        session.advance(2)
    assert np.isfinite(session.evaluate("test").loss)
