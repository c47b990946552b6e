"""Dynamic training on engines: counts, zeros, resuming, and slow loops that do the same by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from dynamic_jobs import (
    ADAM,
    ALL,
    MOMENTUM,
    NAMES,
    STEPS,
    dense_state,
    job,
    per_epoch,
    short,
    train_dynamic,
)

from winnow import statefile
from winnow.algorithms.dynamic.driven import Driven, start_dynamic
from winnow.data.order import Batches
from winnow.engine.dense import DenseEngine
from winnow.engine.learning_rate import learning_rate
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.errors import UserError
from winnow.mask import Mask, from_bytes, to_bytes
from winnow.state import State

DENSE = DenseEngine("cpu")


def same(one: State, other: State) -> None:
    assert one.step == other.step
    assert one.updates == other.updates
    assert one.mask == other.mask
    assert one.scalars == other.scalars
    groups = [(one.weights, other.weights), (one.buffers, other.buffers)]
    assert one.slots.keys() == other.slots.keys()
    assert one.extras.keys() == other.extras.keys()
    groups += [(one.slots[s], other.slots[s]) for s in one.slots]
    groups += [(one.extras[s], other.extras[s]) for s in one.extras]
    for mine, theirs in groups:
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert torch.equal(mine[name], theirs[name]), name


def from_file(state: State) -> State:
    tensors, about = statefile.pack_state(state, "now/")
    kept, read = from_bytes("state", to_bytes("state", tensors, {"about": about}), "test")
    return statefile.unpack_state(kept, read["about"], "now/")


@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAM], ids=lambda spec: spec["name"])
@pytest.mark.parametrize("name", ALL)
def test_density_zeros_and_slots_are_exact_after_every_iteration(name, optimizer):
    one, method = job(optimizer), short(name)
    names = NAMES[:2]  # the output is protected
    state = start_dynamic(method, dense_state(one), names, seed=3)
    session = Driven(DENSE, method, 3).open(one, state)
    time = method.timing(STEPS, per_epoch(one))
    total = round(0.2 * (16 * 12 + 12 * 8))
    before, changes = state, 0
    for step in range(1, STEPS + 1):
        stats = session.advance(step)
        assert stats.step == step
        now = session.state()
        assert now.mask is not None
        assert set(now.mask) == set(names)
        if name == "gradual":
            assert now.mask.is_subset(before.mask)
            assert now.mask.kept >= total
        else:
            assert now.mask.kept == total
        if name in ("set", "rigl") or (name == "deep-r" and method.scope == "layer"):
            assert now.mask.kept_per_layer == state.mask.kept_per_layer
        due = time.due(step) if method.when == "after" else time.due(step - 1)
        assert due or now.mask == before.mask
        changes += now.mask != before.mask
        for layer, keep in now.mask.items():
            assert bool((now.weights[layer][~keep] == 0).all())
            for slots in [] if name == "snfs" else now.slots.values():
                assert bool((slots[layer][~keep] == 0).all())
                if due:  # grown in this iteration: fresh
                    assert bool((slots[layer][keep & ~before.mask[layer]] == 0).all())
            if due and name != "deep-r":
                assert bool((now.weights[layer][keep & ~before.mask[layer]] == 0).all())
        before = now
    assert before.mask.kept == total
    assert changes >= (7 if name == "gradual" else 4)
    assert not torch.equal(before.weights["output.weight"], state.weights["output.weight"])
    assert bool((before.weights["output.weight"] != 0).all())


@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAM], ids=lambda spec: spec["name"])
@pytest.mark.parametrize("name", ALL)
def test_resumed_anywhere_through_a_file_it_is_bit_identical(name, optimizer):
    one, method = job(optimizer), short(name)
    whole = train_dynamic(DENSE, one, dense_state(one), method, seed=3, names=NAMES)
    for cut in (0, 1, 4, 7, 8, 31, STEPS):
        part = train_dynamic(DENSE, one, dense_state(one), method, seed=3, names=NAMES, to=cut)
        torch.rand(5)  # what anything else draws must not matter
        same(train_dynamic(DENSE, one, from_file(part), method, seed=3), whole)
    other = train_dynamic(DENSE, one, dense_state(one), method, seed=4, names=NAMES)
    assert (other.mask == whole.mask) == (name == "gradual")


def test_rigl_is_its_algorithm():
    """Algorithm 1 by hand: SGD with momentum, and an update in place of every fourth step."""
    one, method = job(), short("rigl", 0.2, end="30it")
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    model = one.build().double()
    model.load_state_dict({**state.weights, **state.buffers})
    weights = dict(model.named_parameters())
    mask = {name: state.mask[name] for name in NAMES}
    speed = {name: torch.zeros_like(w) for name, w in weights.items()}
    split = one.data.splits["train"]
    batches = Batches(47, 20, "keep", 3)
    for step in range(STEPS):
        x, y = split.take(torch.tensor(batches.indices(step)))
        loss = F.cross_entropy(model((x.double() - 127.5) / 73.9), y)
        gradients = dict(zip(weights, torch.autograd.grad(loss, [*weights.values()]), strict=True))
        with torch.no_grad():
            if step < 30 and step % 4 == 0:
                fraction = 0.15 * (1 + math.cos(math.pi * step / 30))
                for name, keep in mask.items():
                    mask[name] = exchanged(weights[name], gradients[name], keep, fraction)
                    fresh = mask[name] & ~keep
                    weights[name][~mask[name] | fresh] = 0
                    speed[name][~mask[name] | fresh] = 0
                continue
            rate = learning_rate(step, STEPS, 0.05, one.schedule)
            for name, w in weights.items():
                g = gradients[name] * mask.get(name, 1.0) + 1e-3 * w
                speed[name] = 0.9 * speed[name] + g
                w -= rate * speed[name]
    end = train_dynamic(DENSE, one, state, method, seed=3)
    assert end.step == STEPS
    assert end.updates == STEPS - 8
    assert end.mask == Mask(mask)
    for name, weight in weights.items():
        torch.testing.assert_close(end.weights[name].double(), weight, rtol=2e-3, atol=2e-5)


def exchanged(w: torch.Tensor, g: torch.Tensor, keep: torch.Tensor, fraction: float):
    n = int(keep.sum())
    count = int(fraction * n + 1e-6)
    low = torch.where(keep, w.abs(), math.inf).flatten().argsort()[:count]
    kept = keep.clone().flatten()
    kept[low] = False
    high = torch.where(kept, -1.0, g.abs().flatten()).argsort(descending=True)[:count]
    kept[high] = True
    return kept.reshape(keep.shape)


def test_sparse_momentum_trains_with_dense_momenta():
    """Between updates: dense gradients and momenta, weights masked after each step."""
    one, method = job(), short("snfs", 0.3, every="20it")
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    model = one.build()
    model.load_state_dict({**state.weights, **state.buffers})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    split = one.data.splits["train"]
    batches = Batches(47, 20, "keep", 3)
    named = dict(model.named_parameters())
    for step in range(12):
        x, y = split.take(torch.tensor(batches.indices(step)))
        optimizer.zero_grad()
        F.cross_entropy(model((x.float() - 127.5) / 73.9), y).backward()
        optimizer.step()
        with torch.no_grad():
            for name, keep in state.mask.items():
                named[name].masked_fill_(~keep, 0)
    now = train_dynamic(DENSE, one, state, method, seed=3, to=12)
    assert now.dense_slots
    for name, weight in named.items():
        torch.testing.assert_close(now.weights[name], weight.detach(), rtol=1e-3, atol=1e-6)
        slot = optimizer.state[weight]["momentum_buffer"]
        torch.testing.assert_close(now.slots["momentum_buffer"][name], slot, rtol=1e-3, atol=1e-6)
    removed = now.slots["momentum_buffer"]["hidden.0.weight"][~now.mask["hidden.0.weight"]]
    assert float(removed.abs().max()) > 1e-3
    before = train_dynamic(DENSE, one, now, method, seed=3, to=19)
    after = train_dynamic(DENSE, one, now, method, seed=3, to=20)
    grown = after.mask["hidden.0.weight"] & ~before.mask["hidden.0.weight"]
    assert bool((after.slots["momentum_buffer"]["hidden.0.weight"][grown] != 0).all())


def test_deep_r_keeps_every_sign():
    one, method = job(), short("deep-r")
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    signs = state.extras["positive"]
    session = Driven(DENSE, method, 3).open(one, state)
    rewired = 0
    for step in range(1, STEPS + 1):
        before = session.state().mask
        session.advance(step)
        now = session.state()
        rewired += now.mask != before
        for name, keep in now.mask.items():
            weight = now.weights[name][keep]
            assert bool((weight != 0).all())
            assert torch.equal(weight > 0, signs[name][keep])
    assert rewired > 10
    assert now.extras["positive"].keys() == signs.keys()


def test_dsr_moves_its_threshold():
    one, method = job(), short("dsr", 0.3)
    seen = {
        train_dynamic(DENSE, one, dense_state(one), method, seed=3, names=NAMES, to=k).scalars[
            "threshold"
        ]
        for k in range(0, 20, 2)
    }
    assert len(seen) > 2
    assert all(math.log2(value / 0.05).is_integer() for value in seen)


@pytest.mark.parametrize("name", [name for name in ALL if name != "snfs"])
def test_the_sparse_engine_trains_the_same(name):
    one, method = job(), short(name, 0.3)
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    part = train_dynamic(SparseEngine(), one, state, method, seed=3, to=12)
    other = train_dynamic(DENSE, one, state, method, seed=3, to=12)
    assert part.mask == other.mask
    for layer, weight in part.weights.items():
        torch.testing.assert_close(weight, other.weights[layer], rtol=1e-3, atol=1e-5)
    same(
        train_dynamic(SparseEngine(), one, from_file(part), method, seed=3, to=20),
        train_dynamic(SparseEngine(), one, state, method, seed=3, to=20),
    )


def test_what_it_refuses():
    one = job({"name": "sgd", "lr": 0.1, "weight_decay": 0.0})
    method = short("snfs")
    assert "the optimizer sgd has none" in Driven(DENSE, method, 0).refuses(one)
    rule = {"name": "rmsprop", "lr": 0.1, "weight_decay": 0, "decay": 0.9, "eps": 1, "momentum": 0}
    assert "the optimizer rmsprop has none" in Driven(DENSE, method, 0).refuses(job(rule))
    assert Driven(DENSE, method, 0).refuses(job(rule | {"momentum": 0.5})) is None
    assert "trains densely" in Driven(SparseEngine(), method, 0).refuses(job())
    with pytest.raises(UserError, match="cannot train this: snfs grows by momentum"):
        train_dynamic(DENSE, one, dense_state(one), method, seed=0, names=NAMES)
    assert Driven(DENSE, short("rigl"), 0).refuses(one) is None


def test_a_given_mask_is_kept_if_it_fits():
    one, method = job(), short("rigl", 0.2, distribution="erk")
    mask = start_dynamic(short("set", 0.2, distribution="uniform"), dense_state(one), NAMES, 9).mask
    given = dataclasses.replace(dense_state(one), mask=mask)
    begun = start_dynamic(method, given, NAMES, 3)
    assert begun.mask == mask
    first = begun.weights["hidden.0.weight"]
    assert int((first != 0).sum()) == mask.kept_per_layer["hidden.0.weight"]
    with pytest.raises(UserError, match=r"keeps 74 of 368 weights, density 0\.201087, but rigl"):
        start_dynamic(short("rigl", 0.3), given, NAMES, 3)
    with pytest.raises(UserError, match=r"unknown weight 'hidden\.weight'"):
        start_dynamic(method, dense_state(one), ["hidden.weight"], 3)
    with pytest.raises(UserError, match="the mask given is over"):
        start_dynamic(method, given, NAMES[:2], 3)


@pytest.mark.parametrize("name", ALL)
def test_divergence_is_told(name):
    one = job(MOMENTUM | {"lr": 1e30}, schedule={"name": "constant", "drops": [], "warmup": 0})
    method = short(name, 0.5, every="1it" if name == "deep-r" else "2it")
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    stats = Driven(DENSE, method, 3).open(one, state).advance(STEPS)
    assert stats.diverged_at is not None
    assert 2 <= stats.diverged_at <= 10
    assert stats.step == stats.diverged_at - 1


@pytest.mark.parametrize("name", ALL)
def test_infinite_weights_are_divergence_and_no_error_of_an_update(name):
    one = job(MOMENTUM | {"lr": 1e39}, schedule={"name": "constant", "drops": [], "warmup": 0})
    method = short(name, 0.5, every="2it" if name == "rigl" else "1it")
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    session = Driven(DENSE, method, 3).open(one, state)
    made = 2 if name == "rigl" else 1
    assert session.advance(made).diverged_at is None
    assert not bool(session.state().weights["hidden.0.weight"].isfinite().all())
    assert session.advance(STEPS).diverged_at == made + 1


def test_deep_r_decays_at_the_rate_of_the_step_just_made():
    one = job(schedule={"name": "steps", "drops": [3], "factor": 0.01, "warmup": 0})
    method = short("deep-r", 0.5, l1=0.01, noise=0.0, temperature=None)
    for step, rate in ((2, 0.05), (3, 0.0005)):  # the number of a step and its rate
        before = train_dynamic(DENSE, one, dense_state(one), method, seed=3, names=NAMES, to=step)
        plain = DENSE.open(one, before)
        plain.advance(step + 1)
        stepped = plain.state().weights["output.weight"]
        after = train_dynamic(DENSE, one, before, method, seed=3, to=step + 1)
        both = before.mask["output.weight"] & after.mask["output.weight"]
        both &= after.weights["output.weight"].abs() > 1e-9  # not grown just now
        moved = (stepped - after.weights["output.weight"])[both] * stepped[both].sign()
        torch.testing.assert_close(moved, torch.full_like(moved, rate * 0.01), rtol=0.05, atol=2e-8)


def test_the_mean_loss_counts_every_step_once():
    one, method = job(), short("rigl", every="3it")
    state = start_dynamic(method, dense_state(one), NAMES, seed=3)
    stats = Driven(DENSE, method, 3).open(one, state).advance(8)
    session = Driven(DENSE, method, 3).open(one, state)
    losses = [session.advance(step).loss for step in range(1, 9)]
    made = [loss for loss in losses if not math.isnan(loss)]
    assert len(made) == 8 - 3  # updates at 0, 3, 6
    assert stats.loss == pytest.approx(sum(made) / len(made))
