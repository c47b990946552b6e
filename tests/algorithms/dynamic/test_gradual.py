"""Gradual magnitude pruning: exact densities along the cubic, the smallest first, monotone."""

from __future__ import annotations

import pytest
import torch
from dynamic_jobs import NAMES, STEPS, dense_state, job, train_dynamic
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import Driven, start_dynamic
from winnow.algorithms.dynamic.gradual import prune_kept
from winnow.engine.dense import DenseEngine
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.schedule import cubic

DENSE = DenseEngine("cpu")
WHOLE = 16 * 12 + 12 * 8 + 8 * 10


@pytest.mark.parametrize("scope", ["uniform", "global", "er", "erk"])
@pytest.mark.parametrize(("begin", "initial"), [("0it", 1.0), ("0it", 0.6), ("6it", 0.7)])
def test_densities_follow_the_cubic_exactly(scope, begin, initial):
    one = job()
    method = make_dynamic(
        "gradual", 0.07, every="5it", begin=begin, end="33it", initial=initial, scope=scope
    )
    state = start_dynamic(method, dense_state(one), NAMES, 0)
    session = Driven(DENSE, method, 0).open(one, state)
    start, now = int(begin[:-2]), state
    for step in range(STEPS + 1):
        before = now.mask
        session.advance(step)
        now = session.state()
        assert now.mask.is_subset(before)
        latest = next((s for s in range(step, -1, -1) if due(s, start)), None)
        density = 1.0
        if latest is not None:
            density = cubic(latest, start=start, end=33, initial=initial, final=0.07)
        assert now.mask.kept == round(density * WHOLE), step
    assert now.mask.kept == round(0.07 * WHOLE)


def due(step: int, start: int) -> bool:
    return step == 33 or (start <= step < 33 and (step - start) % 5 == 0)


def test_the_smallest_go_first():
    one = job()
    method = make_dynamic("gradual", 0.2, every="8it", end="16it", scope="global")
    state = start_dynamic(method, dense_state(one), NAMES, 0)
    before = train_dynamic(DENSE, one, state, method, seed=0, to=8)
    session = DENSE.open(one, before)  # the same steps, without a pruning
    session.advance(16)
    weights = session.state().weights
    after = train_dynamic(DENSE, one, before, method, seed=0, to=16).mask
    kept = torch.cat([weights[n][after[n]].abs() for n in NAMES])
    gone = torch.cat([weights[n][before.mask[n] & ~after[n]].abs() for n in NAMES])
    assert len(gone) > 20
    assert float(kept.min()) >= float(gone.max())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 99),
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.sampled_from(["uniform", "er", "erk", "layer", "global"]),
)
def test_any_falling_densities_are_exact_and_monotone(seed, densities, scope):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (7, 5), "b": (3, 9), "c": (2, 2, 3, 3)}
    weights = {n: torch.randn(s, generator=generator) for n, s in shapes.items()}
    before = Mask.dense(weights)
    for density in sorted(densities, reverse=True):
        values = {name: weights[name][before[name]] for name in weights}
        mask = prune_kept(values, before, density, scope)
        assert mask.is_subset(before)
        if scope == "layer":
            wanted = {n: round(density * w.numel()) for n, w in weights.items()}
            assert mask.kept_per_layer == wanted
        else:
            assert mask.kept == round(density * 98)
        before = mask


def test_what_cannot_be_reached_is_told():
    with pytest.raises(UserError, match=r"reachable densities are 0 to 0\.4"):
        make_dynamic("gradual", 0.5, initial=0.4)
    with pytest.raises(UserError, match="from iteration 50 to 50 of 100"):
        make_dynamic("gradual", 0.5, begin="50it", end="50it").timing(100, None)
    with pytest.raises(UserError, match="to 130 of 100: it must begin before its end"):
        make_dynamic("gradual", 0.5, end="130it").timing(100, None)
    assert make_dynamic("gradual", 0.5, end="100it").timing(100, None).last == 100
    with pytest.raises(UserError, match=r"density is 1\.5"):
        make_dynamic("gradual", 0.5, initial=1.5)
    with pytest.raises(UserError, match="unknown scope 'unifrm'"):
        make_dynamic("gradual", 0.5, scope="unifrm")
    with pytest.raises(UserError, match=r"density is 1\.5"):
        make_dynamic("gradual", 1.5)
