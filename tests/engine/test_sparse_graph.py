"""The sparse engine's graph: what the conformance suite, with its small maps, does not reach."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conformance import OPTIMIZERS, make_job, random_mask, same, trained, training_data
from networks import Mixed, PreActivation, Residual
from torch import nn

from winnow.engine.sparse_cpu import segments
from winnow.engine.sparse_cpu.chain import UnsupportedError
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.sparse_cpu.recognise import recognise
from winnow.engine.sparse_cpu.trace import trace
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
    assert max(len(s.steps) for s in graph.back if s.groups == 1) >= 2
    session.advance(3)
    one_by_one = session.state()
    for mine, theirs in ((one_by_one.weights, together.weights),
                         (one_by_one.buffers, together.buffers)):  # fmt: skip
        for name, tensor in mine.items():
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-5)


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


class Free(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.way = forward
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.way(self, x)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (lambda m, x: m.linear(m.conv(x).mean((2, 3))) if x.sum() > 0 else x, "cannot be traced"),
        (lambda m, x: m.linear(x.flatten(1)), "does not take images"),
        (lambda m, x: m.conv(x), "does not return logits"),
        (lambda m, x: m.linear(m.conv(x).mean((0, 2, 3))), "does not return logits"),
        (lambda m, x: m.linear((m.conv(x) if m.training else -m.conv(x)).mean((2, 3))), "other"),
    ],
)
def test_what_cannot_run_is_refused_with_its_reason(way, reason):
    with pytest.raises(UnsupportedError, match=reason):
        trace(Free(way), SHAPE)


def kinds(way):
    nodes, _ = trace(Free(way), SHAPE)
    return [node.kind for node in nodes]


@pytest.mark.parametrize(
    ("pool", "kind"),
    [
        (lambda x: x.mean((2, 3)), "average"),
        (lambda x: x.mean([-1, -2], keepdim=True).flatten(1), "average"),
        (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), "average"),
        (lambda x: F.max_pool2d(x, 6).view(x.size(0), -1), "max"),
        (lambda x: F.avg_pool2d(x, (6, 6)).reshape(x.shape[0], 4), "average"),
        (lambda x: x.amax((2, 3)), "torch"),
        (lambda x: F.max_pool2d(x, 6, ceil_mode=True).flatten(1), "torch"),
        (lambda x: F.lp_pool2d(x, 2, 6).flatten(1), "torch"),
    ],
)
def test_pools_are_recognised(pool, kind):
    assert kind in kinds(lambda m, x: m.linear(pool(m.conv(x))))


def test_dropout_is_recognised_in_both_forms():
    def functional(m, x):
        x = F.dropout(m.conv(x).mean((2, 3)), 0.5, training=m.training)
        return m.linear(m.drop(x))

    assert kinds(functional).count("dropout") == 2
    assert "dropout" not in kinds(lambda m, x: m.linear(F.dropout(m.conv(x).mean((2, 3)), 0.0)))


def test_an_operation_in_place_is_seen_by_later_users():
    def way(m, x):
        y = m.conv(x)
        F.relu_(y)
        return m.linear((y + y.relu()).mean((2, 3)))

    nodes, _ = trace(Free(way), SHAPE)
    add = next(node for node in nodes if node.kind == "add")
    assert [source.name for source in add.inputs] == ["relu_", "relu"]


def test_only_known_modules_have_kernels():
    class Own(nn.ReLU):
        def forward(self, x):
            return -x

    node = torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())).graph
    call = next(n for n in node.nodes if n.op == "call_module")
    assert recognise(call, call, nn.ReLU(), [(3,)], (3,)).kind == "relu"
    assert recognise(call, call, Own(), [(3,)], (3,)).kind == "torch"
    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda *_: None)
    assert recognise(call, call, hooked, [(3,)], (3,)).kind == "torch"


def test_a_batch_of_one_value_has_no_variance():
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4), nn.Linear(4, 10))

    job = a_job(make, batch=46)  # of 47
    session = SparseEngine().open(job, a_state(make, 0.5))
    session.advance(1)
    with pytest.raises(ValueError, match="batch of one value"):
        session.advance(2)
    assert np.isfinite(session.evaluate("test").loss)
