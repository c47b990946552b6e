"""Masks that change: gradient, remask, perturb and skip, on every engine."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from conformance import (
    CONSTANT,
    OPTIMIZERS,
    lenet,
    make_job,
    open_or_skip,
    random_mask,
    start,
    training_data,
)

from winnow import rng, statefile
from winnow.data.augment import flip_crop
from winnow.data.order import Batches
from winnow.engine.base import Engine
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.models import build
from winnow.state import State, remasked

ENGINES = [DenseEngine("cpu"), SparseEngine()]
DENSE = ENGINES[0]


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


def same(one: State, other: State) -> None:
    assert (one.step, one.updates, one.mask) == (other.step, other.updates, other.mask)
    groups = [(one.weights, other.weights), (one.buffers, other.buffers)]
    for mine, theirs in groups + [(one.slots[s], other.slots[s]) for s in one.slots]:
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_gradient_is_dense_and_of_the_next_batch(engine):
    job = make_job(lenet(), training_data((1, 4, 4)))
    session = engine.open(job, start(job, 0.4))
    session.advance(4)
    state = session.state()
    model = job.build().double()
    model.load_state_dict({**state.weights, **state.buffers})
    x, y = job.data.splits["train"].take(torch.tensor(Batches(47, 20, "keep", 3).indices(4)))
    loss = F.cross_entropy(model((x.double() - 127.5) / 73.9), y)
    expected = torch.autograd.grad(loss, list(model.parameters()))
    found = session.gradient()
    for (name, _), gradient in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(found[name].double(), gradient, rtol=1e-4, atol=1e-6)
    removed = found["hidden.0.weight"][~state.mask["hidden.0.weight"]]
    assert float(removed.abs().max()) > 1e-3
    same(session.state(), state)
    session.advance(9)
    other = engine.open(job, state)
    other.advance(9)
    same(session.state(), other.state())


@pytest.mark.parametrize(
    ("network", "options"), [("conv-2", {"dropout": 0.5}), ("resnet-20", {"width": 0.25})]
)
def test_the_gradient_has_the_draws_of_its_step_and_moves_nothing(network, options):
    data = dataclasses.replace(training_data((3, 8, 8)), augment="flip-crop")
    job = make_job(
        lambda: build(network, inputs=(3, 8, 8), classes=10, **options),
        data,
        optimizer={"name": "sgd", "lr": 1.0, "weight_decay": 0.0},
        schedule=CONSTANT,
    )
    session = DENSE.open(job, start(job, None))
    session.advance(2)
    before = session.state()
    torch.manual_seed(99)
    gradient = session.gradient()
    same(session.state(), before)
    session.advance(3)
    after = session.state()
    for name, weight in before.weights.items():  # a step of rate 1 subtracts the gradient
        assert torch.equal(after.weights[name], weight - gradient[name])
    positions = torch.tensor(Batches(47, 20, "keep", 3).indices(2))
    x, _ = data.splits["train"].take(positions)
    assert not torch.equal(flip_crop(x, rng.stream(4, "augment", 2)), x)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda spec: spec["name"])
def test_remasking_is_opening_the_changed_state(engine, optimizer):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=optimizer)
    session = open_or_skip(engine, job, start(job, 0.4))
    session.advance(5)
    state = session.state()
    mask = random_mask(job.build(), 0.5, seed=1)
    grown = {n: mask[n] & (torch.rand(mask[n].shape) < 0.5) for n in list(mask)[:2]}
    new = {name: mask[name] & ~state.mask[name] for name in grown}
    values = {name: torch.randn(int(new[name].sum())) for name in grown}
    others = {name: torch.randn(int(grown[name].sum())) for name in grown}
    for extra in ((), (values,), (others, grown)):
        session = engine.open(job, state)
        session.remask(mask, *extra)
        same(session.state(), remasked(state, mask, *extra))
        session.advance(12)
        other = engine.open(job, remasked(state, mask, *extra))
        other.advance(12)
        same(session.state(), other.state())


@pytest.mark.parametrize("optimizer", [OPTIMIZERS[1], OPTIMIZERS[3]], ids=lambda spec: spec["name"])
def test_a_remasked_state_by_hand(optimizer):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=optimizer)
    session = DENSE.open(job, start(job, 0.4))
    session.advance(5)
    state = session.state()
    mask = random_mask(job.build(), 0.5, seed=1)
    new = {name: keep & ~state.mask[name] for name, keep in mask.items()}
    values = {name: torch.arange(int(bits.sum())) + 3.0 for name, bits in new.items()}
    anew = {"hidden.0.weight": mask["hidden.0.weight"] & state.mask["hidden.0.weight"]}
    plain, valued = remasked(state, mask), remasked(state, mask, values)
    name = "hidden.0.weight"
    threes = {name: torch.full((int(anew[name].sum()),), 3.0)}
    again = remasked(state, mask, threes, anew)
    for name, keep in mask.items():
        stayed, new = keep & state.mask[name], keep & ~state.mask[name]
        assert int(new.sum()) > 5
        for changed, value in ((plain, 0.0), (valued, torch.arange(int(new.sum())) + 3.0)):
            weight = changed.weights[name]
            assert torch.equal(weight[stayed], state.weights[name][stayed])
            assert bool((weight[new] == value).all())
            assert bool((weight[~keep] == 0).all())
            for slot, tensors in changed.slots.items():
                assert torch.equal(tensors[name][stayed], state.slots[slot][name][stayed])
                assert bool((tensors[name][~stayed] == 0).all())
    name = "hidden.0.weight"
    assert bool((again.weights[name][anew[name]] == 3).all())
    assert all(bool((tensors[name][anew[name]] == 0).all()) for tensors in again.slots.values())
    dense = remasked(dataclasses.replace(state, dense_slots=True), mask, threes, anew)
    assert all(torch.equal(dense.slots[s][name], state.slots[s][name]) for s in state.slots)


def test_perturbing_moves_kept_weights_only(engine):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=OPTIMIZERS[1])
    session = engine.open(job, start(job, 0.4))
    session.advance(5)
    state = session.state()
    seen = {}

    def change(name, values):
        seen[name] = values.clone()
        return values + torch.arange(len(values)).to(values)

    session.perturb(change)
    after = session.state()
    assert seen.keys() == set(state.mask)
    for name, keep in state.mask.items():
        assert torch.equal(seen[name], state.weights[name][keep])
        assert torch.equal(after.weights[name][keep], seen[name] + torch.arange(int(keep.sum())))
        assert bool((after.weights[name][~keep] == 0).all())
    same(dataclasses.replace(after, weights=state.weights), state)


def test_skipping_leaves_a_batch_out(engine):
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=OPTIMIZERS[1])
    session = engine.open(job, start(job, 0.4))
    session.advance(3)
    state = session.state()
    session.skip()
    same(session.state(), dataclasses.replace(state, step=4))
    session.advance(8)
    other = engine.open(job, dataclasses.replace(state, step=4))
    other.advance(8)
    same(session.state(), other.state())
    assert session.state().updates == 7


def test_looking_is_the_state(engine):
    job = make_job(lenet(), training_data((1, 4, 4)))
    session = engine.open(job, start(job, 0.4))
    session.advance(3)
    same(session.look(), session.state())
    kept = session.state()
    first = kept.weights["hidden.0.weight"].clone()
    session.advance(6)
    assert torch.equal(kept.weights["hidden.0.weight"], first)  # a state is a copy


def test_states_with_memories_survive_a_file():
    job = make_job(lenet(), training_data((1, 4, 4)), optimizer=OPTIMIZERS[1], dense_slots=True)
    session = DENSE.open(job, start(job, 0.4))
    session.advance(3)
    signs = {"hidden.0.weight": torch.rand(12, 16) < 0.5}
    state = dataclasses.replace(
        session.state(), scalars={"threshold": 1e-3 / 3}, extras={"positive": signs}
    )
    tensors, about = statefile.pack_state(state, "x/")
    back = statefile.unpack_state(tensors, about, "x/")
    same(state, back)
    assert back.scalars == state.scalars
    assert back.dense_slots
    assert torch.equal(back.extras["positive"]["hidden.0.weight"], signs["hidden.0.weight"])
    removed = back.slots["momentum_buffer"]["hidden.0.weight"][~state.mask["hidden.0.weight"]]
    assert float(removed.abs().max()) > 0


def test_files_without_memories_are_as_before():
    job = make_job(lenet(), training_data((1, 4, 4)))
    tensors, about = statefile.pack_state(start(job, 0.4))
    assert set(about) == {"step", "updates", "mask"}
    assert {key.split("/")[0] for key in tensors} == {"weights", "mask"}
    back = statefile.unpack_state(tensors, about)
    assert (back.dense_slots, back.scalars, back.extras) == (False, {}, {})
