"""RigL's update against its formula, written out slowly."""

from __future__ import annotations

import math

import torch
from dynamic_jobs import SHAPES, flat_set, masks, moment, smallest, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.timing import Timing


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
