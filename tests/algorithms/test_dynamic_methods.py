"""One update of each method against its formula, written out slowly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from dynamic_jobs import ALL, masks, moment, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow import rng
from winnow.algorithms.dynamic import DYNAMIC_METHODS, exchange, make_dynamic
from winnow.algorithms.dynamic.deep_r import DeepR
from winnow.algorithms.dynamic.dsr import drop_below, next_threshold
from winnow.algorithms.dynamic.method import Memory
from winnow.algorithms.dynamic.snfs import drop_counts, momentum_shares
from winnow.algorithms.dynamic.timing import Timing
from winnow.errors import UserError
from winnow.mask import Mask

SHAPES = {"a": (6, 5), "b": (4, 3, 2, 2), "c": (3, 4)}


def smallest(weight: torch.Tensor, keep: torch.Tensor, count: int) -> set[int]:
    """Flat indices of the kept weights that go first: of equal ones the higher index."""
    flat = weight.abs().reshape(-1).tolist()
    places = keep.reshape(-1).nonzero().squeeze(1).tolist()
    return set(sorted(places, key=lambda i: (flat[i], -i))[:count])


def under(mask: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> dict:
    return {name: torch.where(mask[name], value, 0.0) for name, value in values.items()}


def total(mask: dict[str, torch.Tensor]) -> int:
    return sum(int(keep.sum()) for keep in mask.values())


def flat_set(keep: torch.Tensor) -> set[int]:
    return set(keep.reshape(-1).nonzero().squeeze(1).tolist())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1), st.integers(0, 90))
def test_rigl_drops_the_smallest_and_grows_the_largest_gradients(seed, density, step):
    weights, gradient = tensors(seed, SHAPES), tensors(seed + 1, SHAPES)
    mask = masks(seed, SHAPES, density)
    at = moment(weights, mask, step=step, gradient=lambda: gradient | {"bias": torch.ones(2)})
    change = make_dynamic("rigl", 0.1).update(at)
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 100))
    for name, keep in mask.items():
        count = int(fraction * int(keep.sum()) + 1e-6)
        kept = flat_set(keep) - smallest(weights[name], keep, count)
        size = gradient[name].abs().reshape(-1).tolist()
        free = sorted(set(range(keep.numel())) - kept, key=lambda i: (-size[i], i))
        assert flat_set(change.mask[name]) == kept | set(free[:count])
    assert change.grown is None
    assert change.values is None


def test_rigl_decays():
    mask = {"a": torch.ones(10, 10, dtype=torch.bool)}
    mask["a"][5:] = False
    weights = tensors(0, {"a": (10, 10)})
    gradient = {"a": (~mask["a"]).float()}  # what was dropped does not return
    late = moment(
        weights, mask, step=90, timing=Timing(10, 110, 10, 120), gradient=lambda: gradient
    )
    for decay, dropped in [("constant", 20), ("linear", 4), ("cosine", 1)]:
        kept = make_dynamic("rigl", 0.1, drop=0.4, decay=decay).update(late).mask["a"]
        assert flat_set(mask["a"] & ~kept) == smallest(weights["a"], mask["a"], dropped)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1))
def test_set_drops_the_smallest_and_keeps_each_count(seed, density):
    weights, mask = tensors(seed, SHAPES), masks(seed, SHAPES, density)
    change = make_dynamic("set", 0.1).update(moment(weights, mask))
    for name, keep in mask.items():
        n = int(keep.sum())
        gone = smallest(weights[name], keep, int(0.3 * n + 1e-6))
        assert flat_set(keep & ~change.mask[name]) <= gone
        assert int(change.mask[name].sum()) == n
    again = make_dynamic("set", 0.1).update(moment(weights, mask)).mask
    assert all(torch.equal(again[n], change.mask[n]) for n in mask)


def test_set_grows_elsewhere_at_other_steps_and_seeds():
    weights, mask = tensors(0, SHAPES), masks(0, SHAPES, 0.3)
    found = [
        Mask(make_dynamic("set", 0.1).update(moment(weights, mask, **more)).mask)
        for more in ({}, {"step": 60}, {"seed": 4})
    ]
    assert len({hash(one) for one in found}) == 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1))
def test_snfs_shares_by_momentum_and_grows_the_largest(seed, density):
    weights, momenta = tensors(seed, SHAPES), tensors(seed + 1, SHAPES)
    mask = masks(seed, SHAPES, density)
    at = moment(weights, mask, momentum=lambda: momenta)
    change = make_dynamic("snfs", 0.1).update(at)
    means = {
        n: float(momenta[n][k].abs().double().mean()) if bool(k.any()) else 0.0
        for n, k in mask.items()
    }
    shares = {name: mean / max(sum(means.values()), 1e-30) for name, mean in means.items()}
    assert momentum_shares({n: m.abs() for n, m in momenta.items()}, mask) == pytest.approx(shares)
    rate = 0.005 + (0.5 - 0.005) / 2  # half of the training is over
    drops = drop_counts(mask, shares, rate)
    kept = {n: flat_set(k) - smallest(weights[n], k, drops[n]) for n, k in mask.items()}
    room = {n: mask[n].numel() - len(kept[n]) for n in mask}
    growth = exchange.share_out(sum(drops.values()), shares, room)
    assert total(change.mask) == total(mask)
    for name, keep in mask.items():
        size = momenta[name].abs().reshape(-1).tolist()
        free = sorted(set(range(keep.numel())) - kept[name], key=lambda i: (-size[i], i))
        assert flat_set(change.mask[name]) == kept[name] | set(free[: growth[name]])


def test_snfs_drop_counts_of_nearly_dense_layers():
    mask = {n: torch.ones(100, dtype=torch.bool) for n in ("a", "b", "c")}
    mask["a"][:10] = False  # 10 % sparse and growing: drops 10 % of 90
    mask["b"][:10] = False  # as sparse, not growing: drops half
    mask["c"][:50] = False
    assert drop_counts(mask, {"a": 0.5, "b": 0.2, "c": 0.3}, 0.5) == {"a": 9, "b": 45, "c": 25}


def test_snfs_gives_layers_with_more_momentum_more():
    weights = tensors(0, SHAPES)
    mask = masks(0, SHAPES, 0.4)
    momenta = {"a": torch.full((6, 5), 3.0), "b": torch.ones(4, 3, 2, 2), "c": torch.ones(3, 4)}
    change = make_dynamic("snfs", 0.1).update(moment(weights, mask, momentum=lambda: momenta))
    gained = {n: int(change.mask[n].sum()) - int(mask[n].sum()) for n in mask}
    assert gained["a"] > 0
    assert gained["b"] < 0
    assert sum(gained.values()) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 1), st.floats(0.01, 3))
def test_dsr_drops_below_one_threshold_and_grows_by_survivors(seed, density, threshold):
    weights, mask = tensors(seed, SHAPES), masks(seed, SHAPES, density)
    memory = Memory({"threshold": threshold})
    change = make_dynamic("dsr", 0.1).update(moment(weights, mask, memory=memory))
    values = {name: weights[name][keep] for name, keep in mask.items()}
    kept = drop_below(values, mask, threshold)
    active = {n: int(k.sum()) for n, k in mask.items()}
    room = sum(k.numel() for k in mask.values()) - sum(active.values())
    below = {n: keep & (weights[n].abs() < threshold) for n, keep in mask.items()}
    limit = min(sum(int(b.sum()) for b in below.values()), room)
    emptied = [n for n in mask if active[n] and int(below[n].sum()) == active[n]]
    pruned = sum(active.values()) - sum(int(k.sum()) for k in kept.values())
    assert limit - len(emptied) <= pruned <= limit
    for name, keep in mask.items():
        assert bool((below[name] | ~(keep & ~kept[name])).all())  # only what is below goes
        assert bool(kept[name].any()) == bool(active[name])
        if name in emptied and pruned < limit:
            top = (weights[name].abs() * keep).max()
            assert float(weights[name].abs()[kept[name]].max()) == float(top)
        new = change.mask[name] & ~kept[name]
        assert not bool((new & keep).any())  # what was just dropped does not return
    assert total(change.mask) == total(mask)
    moved = change.memory.scalars["threshold"]
    target = 0.1 * sum(active.values())
    if pruned > 1.1 * target:
        assert moved == threshold / 2
    elif pruned < 0.9 * target:
        assert moved == 2 * threshold
    else:
        assert moved == threshold


def test_dsr_growth_is_proportional_to_the_survivors():
    mask = {n: torch.zeros(1000, dtype=torch.bool) for n in ("a", "b")}
    mask["a"][:300], mask["b"][:300] = True, True
    weights = {n: torch.ones(1000) for n in mask}
    weights["a"][:100] = 0.01  # a loses 100 and has 200 left, b loses none of 300
    change = make_dynamic("dsr", 0.1).update(
        moment(weights, mask, memory=Memory({"threshold": 0.1}))
    )
    assert {n: int(k.sum()) for n, k in change.mask.items()} == {"a": 240, "b": 360}


def test_dsr_threshold_finds_its_target():
    rates = torch.rand(5000, generator=torch.Generator().manual_seed(0))
    threshold = 1e-3
    for _ in range(12):
        pruned = int((rates < threshold).sum())
        threshold = next_threshold(threshold, pruned, 400)
    assert 200 < int((rates < threshold).sum()) < 800
    assert next_threshold(1.0, 109, 100) == next_threshold(1.0, 91, 100) == 1.0
    assert next_threshold(1.0, 111, 100) == 0.5
    assert next_threshold(1.0, 89, 100) == 2.0


def test_dsr_updates_as_often_as_the_original():
    """Its code: batch 100, so 500 iterations an epoch; periods change at epochs 25, 80, 140."""
    due = 0
    for epoch in range(190):
        period = 100 if epoch < 25 else 200 if epoch < 80 else 400 if epoch < 140 else 800
        due += sum(i % period == 0 for i in range(500 * epoch, 500 * epoch + 500) if i)
    timing = make_dynamic("dsr", 0.1).timing(100_000, 500)
    assert sum(timing.due(step) for step in range(1, 100_001)) == due == 367


def test_deep_r_starts_with_layers_like_the_original():
    """Its script keeps 1, 3 and 30 % of LeNet-300-100's layers."""
    shapes = {"a": (300, 784), "b": (100, 300), "c": (10, 100)}
    script = {"a": 2352, "b": 900, "c": 300}
    weights = {name: torch.ones(shape) for name, shape in shapes.items()}
    found = make_dynamic("deep-r", 3552 / 266_200).start(weights, 0).kept_per_layer
    assert sum(found.values()) == 3552
    for name, count in script.items():
        assert found[name] == pytest.approx(count, rel=0.2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 1), st.sampled_from(["layer", "global"]))
def test_deep_r_rewires_where_a_sign_flipped_and_nowhere_else(seed, density, scope):
    mask = masks(seed, SHAPES, density)
    first = under(mask, tensors(seed, SHAPES))
    method = DeepR(l1=0.0, noise=0.0, scope=scope)
    memory = method.memory(first, Mask(mask), 3)
    now = under(mask, tensors(seed + 1, SHAPES))
    change = method.update(moment(now, mask, memory=memory))
    positive = memory.tensors["positive"]
    flipped = {n: k & torch.where(positive[n], now[n] <= 0, now[n] >= 0) for n, k in mask.items()}
    if not any(bool(f.any()) for f in flipped.values()):
        assert change is None
        return
    for name, keep in mask.items():
        active = keep & (first[name] != 0)
        assert torch.equal(positive[name][active], first[name][active] > 0)
        survived = keep & ~flipped[name]
        grown = change.grown.get(name, torch.zeros_like(keep))
        assert torch.equal(change.mask[name], survived | grown)
        assert not bool((survived & grown).any())
        sign = torch.where(positive[name], 1.0, -1.0)
        if name in change.grown:
            assert torch.equal(change.values[name], 1e-12 * sign[grown])
        if scope == "layer":
            assert int(change.mask[name].sum()) == int(keep.sum())
    assert total(change.mask) == total(mask)


def test_deep_r_moves_active_weights_by_decay_and_noise():
    keep = torch.rand(400, 100, generator=torch.Generator().manual_seed(0)) < 0.5
    weights = {"a": torch.where(keep, torch.where(torch.arange(100) % 2 == 0, 5.0, -5.0), 0.0)}
    before = weights["a"].clone()
    for method, std in [
        (DeepR(l1=0.02, noise=0.3), 0.1 * 0.3),
        (DeepR(l1=0.02, temperature=0.01), (2 * 0.1 * 0.01) ** 0.5),
    ]:
        weights["a"] = before.clone()
        memory = method.memory(weights, Mask({"a": keep}), 3)
        assert method.update(moment(weights, {"a": keep}, memory=memory)) is None
        moved = ((weights["a"] - before) * before.sign())[keep].double().numpy()
        assert bool((weights["a"][~keep] == 0).all())
        assert np.mean(moved) == pytest.approx(-0.1 * 0.02, abs=5 * std / len(moved) ** 0.5)
        assert np.std(moved) == pytest.approx(std, rel=0.03)


def test_deep_r_draws_the_signs_of_dormant_weights():
    keep = torch.zeros(100, 100, dtype=torch.bool)
    memory = DeepR().memory({"a": torch.zeros(100, 100)}, Mask({"a": keep}), 3)
    drawn = memory.tensors["positive"]["a"]
    assert 4700 < int(drawn.sum()) < 5300
    assert torch.equal(
        drawn.flatten(), torch.from_numpy(rng.stream(3, "deep-r sign", "a").random(10000) < 0.5)
    )


@pytest.mark.parametrize("name", [name for name in ALL if name != "gradual"])
def test_full_and_empty_layers(name):
    weights = tensors(0, SHAPES) | {"none": torch.zeros(0, 3)}
    shapes = {n: tuple(w.shape) for n, w in weights.items()}
    mask = masks(0, shapes, 0.5)
    mask["a"][:], mask["c"][:] = True, False
    method = make_dynamic(name, 0.5)
    memory = method.memory(weights, Mask(mask), 0)
    weights = under(mask, weights)
    more = {"gradient": lambda: tensors(1, shapes), "momentum": lambda: tensors(1, shapes)}
    change = method.update(moment(weights, mask, memory=memory, **more))
    if change is None:
        return
    counts = {n: int(k.sum()) for n, k in mask.items()}
    new = {n: int(k.sum()) for n, k in change.mask.items()}
    if name in ("set", "rigl", "deep-r"):
        assert new == counts
    else:
        assert sum(new.values()) == sum(counts.values())


def test_names_and_options():
    assert list(DYNAMIC_METHODS) == ["gradual", "set", "deep-r", "dsr", "snfs", "rigl"]
    with pytest.raises(UserError, match=r"unknown dynamic method 'rig1'\. Did you mean 'rigl'"):
        make_dynamic("rig1", 0.1)
    with pytest.raises(UserError, match=r"unknown option of rigl: 'evry'\. Did you mean 'every'"):
        make_dynamic("rigl", 0.1, evry="1it")
    with pytest.raises(UserError, match=r"rigl: drop is 1\.5"):
        make_dynamic("rigl", 0.1, drop=1.5)
    with pytest.raises(UserError, match="set: unknown decay 'cosin'"):
        make_dynamic("set", 0.1, decay="cosin")
    with pytest.raises(UserError, match="dsr: threshold is 0"):
        make_dynamic("dsr", 0.1, threshold=0)
    with pytest.raises(UserError, match="deep-r: l1 is -1"):
        make_dynamic("deep-r", 0.1, l1=-1)
    with pytest.raises(UserError, match="scope is 'row'"):
        make_dynamic("deep-r", 0.1, scope="row")
    assert replace(make_dynamic("rigl", 0.1), distribution="uniform").protects == ("first",)
