"""Deep-R's moves, signs and rewiring against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dynamic_jobs import SHAPES, masks, moment, tensors, total, under
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow import rng
from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.deep_r import DeepR
from winnow.errors import UserError
from winnow.mask import Mask


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


def test_deep_r_globally_grows_in_any_layer():
    """All of a small layer flips, and nearly all that is dormant lies in a large one."""
    mask = {"a": torch.ones(2, 3, dtype=torch.bool), "b": torch.zeros(40, 50, dtype=torch.bool)}
    first = {"a": torch.ones(2, 3), "b": torch.zeros(40, 50)}
    method = DeepR(l1=0.0, noise=0.0, scope="global")
    memory = method.memory(first, Mask(mask), 3)
    change = method.update(moment({**first, "a": -torch.ones(2, 3)}, mask, memory=memory))
    counts = {name: int(keep.sum()) for name, keep in change.mask.items()}
    assert sum(counts.values()) == 6
    assert counts["b"] >= 5
    layers = rng.stream(3, "deep-r layers", 50).multivariate_hypergeometric([6, 2000], 6)
    assert list(counts.values()) == layers.tolist()


def test_deep_r_moves_by_its_named_noise():
    keep = torch.ones(50, dtype=torch.bool)
    weights = {"a": torch.where(torch.arange(50) % 2 == 0, 5.0, -5.0)}
    before, method = weights["a"].clone(), DeepR(l1=0.02, noise=0.3)
    memory = method.memory(weights, Mask({"a": keep}), 3)
    method.update(moment(weights, {"a": keep}, memory=memory))
    normal = rng.stream(3, "deep-r noise", 50, "a").standard_normal(50, np.float32)
    expected = before - 0.1 * 0.02 * before.sign() + 0.1 * 0.3 * torch.from_numpy(normal)
    torch.testing.assert_close(weights["a"], expected)


def test_deep_r_signs_of_removed_weights_are_drawn_whatever_these_are():
    keep = torch.zeros(1000, dtype=torch.bool)
    keep[:10] = True
    positive = DeepR().memory({"a": torch.ones(1000)}, Mask({"a": keep}), 3).tensors["positive"]
    drawn = torch.from_numpy(rng.stream(3, "deep-r sign", "a").random(1000) < 0.5)
    assert torch.equal(positive["a"], drawn | keep)


def test_deep_r_needs_a_place_to_start_from():
    assert DeepR(epsilon=1e-37).epsilon == 1e-37
    with pytest.raises(UserError, match="epsilon is 0: give a positive float32"):
        DeepR(epsilon=0)
