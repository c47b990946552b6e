"""The random mask that dynamic training starts from: exact, the same for all, within reach."""

from __future__ import annotations

import pytest
from dynamic_jobs import tensors

from winnow.algorithms.dynamic.start import check_distribution, first_counts, random_mask
from winnow.errors import UserError

SHAPES = {"a": (5, 7), "b": (3, 2, 2, 2), "c": (4,)}


@pytest.mark.parametrize("distribution", ["uniform", "er", "erk"])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_the_first_mask_is_exact_and_the_same_for_all(distribution, density):
    weights = tensors(0, SHAPES)
    mask = random_mask(weights, density, distribution, 1)
    whole = sum(w.numel() for w in weights.values())
    assert mask.kept == round(density * whole)
    assert mask == random_mask(weights, density, distribution, 1)
    if density == 0.3:
        assert mask != random_mask(weights, density, distribution, 2)


def test_a_density_out_of_reach_is_told_with_the_range():
    weights = tensors(0, SHAPES)
    with pytest.raises(UserError, match=r"keeps none of 63 weights; reachable are 0\.0159 to 1"):
        random_mask(weights, 0.001, "erk", 1)
    assert 0 in random_mask(weights, 0.03, "uniform", 1).kept_per_layer.values()
    counts = first_counts({name: tuple(w.shape) for name, w in weights.items()}, 0.03, "uniform")
    assert counts == random_mask(weights, 0.03, "uniform", 1).kept_per_layer
    with pytest.raises(UserError, match=r"needs 1 in each layer .* are (\S+) to 1") as told:
        random_mask(weights, 0.03, "uniform", 1, least=1)
    lowest = float(str(told.value).split(" are ")[1].split(" to ")[0])
    assert all(random_mask(weights, lowest, "uniform", 1, least=1).kept_per_layer.values())
    with pytest.raises(UserError, match="needs 1"):
        random_mask(weights, lowest - 1 / 63, "uniform", 1, least=1)
    with pytest.raises(UserError, match="Did you mean 'erk'"):
        check_distribution("erkk")
