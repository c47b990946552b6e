"""Sparse momentum's update against its formula, written out slowly."""

from __future__ import annotations

import pytest
import torch
from dynamic_jobs import SHAPES, flat_set, masks, moment, smallest, tensors, total
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.algorithms.dynamic import exchange, make_dynamic
from winnow.algorithms.dynamic.snfs import drop_counts, momentum_shares


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


def test_snfs_drop_counts_at_the_edges():
    """Nearly dense is less than 20 % sparse, growing is more than the average share."""
    mask = {n: torch.ones(100, dtype=torch.bool) for n in "abcd"}
    mask["a"][:10] = mask["b"][:10] = False
    mask["c"][:21] = False
    mask["d"][:19] = False
    shares = {"a": 0.25, "b": 0.05, "c": 0.35, "d": 0.35}
    assert drop_counts(mask, shares, 0.5) == {"a": 45, "b": 45, "c": 40, "d": 16}


def test_snfs_without_any_momentum_has_no_shares():
    mask = {n: torch.ones(4, dtype=torch.bool) for n in "ab"}
    assert momentum_shares({n: torch.zeros(4) for n in mask}, mask) == {"a": 0.0, "b": 0.0}
