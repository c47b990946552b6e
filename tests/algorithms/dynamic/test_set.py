"""SET's update against its formula, written out slowly."""

from __future__ import annotations

import torch
from dynamic_jobs import SHAPES, flat_set, masks, moment, smallest, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.algorithms.dynamic import make_dynamic
from winnow.mask import Mask


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
