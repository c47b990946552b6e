"""DSR's update and threshold against their formulas, and its timing against the original."""

from __future__ import annotations

import torch
from dynamic_jobs import SHAPES, masks, moment, tensors, total
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.dsr import drop_below, next_threshold
from winnow.algorithms.dynamic.method import Memory


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
    assert next_threshold(1.0, 90, 100) == 1.0
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
