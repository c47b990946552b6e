"""Overlap of masks: counts by hand, and chance against enumeration of all pairs of masks."""

from __future__ import annotations

import itertools
from statistics import mean

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom

from winnow.analysis import layer_overlaps, mask_overlap
from winnow.mask import Mask


def mask(**layers):
    return Mask({name: torch.tensor(bits, dtype=torch.bool) for name, bits in layers.items()})


FIRST = mask(a=[1, 1, 0, 0, 0], b=[1, 0, 1])
SECOND = mask(a=[1, 0, 1, 0, 0], b=[1, 1, 0])


def test_counts_by_hand():
    found = mask_overlap(FIRST, SECOND)
    assert (found.kept_both, found.kept_first, found.kept_second) == (2, 4, 4)
    assert found.agreement == pytest.approx(4 / 8)  # two kept by both, two removed by both
    assert found.jaccard == pytest.approx(2 / 6)
    # a: 2·2/5 + 3·3/5 agree by chance, b: 2·2/3 + 1·1/3
    assert found.agreement_chance == pytest.approx((4 / 5 + 9 / 5 + 4 / 3 + 1 / 3) / 8)


def test_agreement_is_that_of_equation_7():
    assert mask_overlap(FIRST, SECOND).agreement == pytest.approx(FIRST.agreement(SECOND))
    difference = sum(float((FIRST[n].float() - SECOND[n].float()).abs().sum()) for n in FIRST)
    assert mask_overlap(FIRST, SECOND).agreement == pytest.approx(1 - difference / 8)


def test_a_layer_stands_alone():
    found = layer_overlaps(FIRST, SECOND)
    assert list(found) == ["a", "b"]
    assert found["a"] == mask_overlap(mask(a=FIRST["a"].tolist()), mask(a=SECOND["a"].tolist()))
    assert (found["a"].agreement, found["b"].jaccard) == (
        pytest.approx(3 / 5),
        pytest.approx(1 / 3),
    )


def all_masks(size, kept):
    for chosen in itertools.combinations(range(size), kept):
        yield [int(i in chosen) for i in range(size)]


def test_chance_of_agreement_is_the_mean_over_all_masks_of_the_same_counts():
    every = [
        mask_overlap(mask(a=a, b=b), SECOND).agreement
        for a in all_masks(5, 2)
        for b in all_masks(3, 2)
    ]
    assert mask_overlap(FIRST, SECOND).agreement_chance == pytest.approx(mean(every))


@pytest.mark.parametrize(
    ("size", "a", "b", "close"), [(100, 10, 10, 0.003), (5000, 400, 900, 1e-5)]
)
def test_chance_of_jaccard_against_the_exact_distribution(size, a, b, close):
    exact = hypergeom(size, a, b).expect(lambda shared: shared / (a + b - shared))
    one = mask(w=[1] * a + [0] * (size - a))
    other = mask(w=[1] * b + [0] * (size - b))
    assert mask_overlap(one, other).jaccard_chance == pytest.approx(exact, rel=close)


def test_chance_of_jaccard_over_layers_of_unequal_densities():
    """Shared counts of layers are independent: their distributions are convolved."""
    layers = {"v": (300, 200, 150), "w": (900, 60, 90)}
    shared = [1.0]
    for size, a, b in layers.values():
        shared = np.convolve(shared, hypergeom(size, a, b).pmf(np.arange(min(a, b) + 1)))
    twice = sum(a + b for _, a, b in layers.values())
    count = np.arange(len(shared))
    exact = float(shared @ (count / (twice - count)))
    one, other = (
        mask(**{n: [1] * c[k] + [0] * (c[0] - c[k]) for n, c in layers.items()}) for k in (1, 2)
    )
    assert sum(shared) == pytest.approx(1)
    assert mask_overlap(one, other).jaccard_chance == pytest.approx(exact, rel=2e-5)


def test_random_masks_of_a_tenth_score_as_chance_says():
    generator = torch.Generator().manual_seed(0)
    start = Mask({"w": torch.arange(100_000) < 10_000})
    found = mask_overlap(start.shuffled(generator), start.shuffled(generator))
    assert found.agreement_chance == pytest.approx(0.82)
    assert found.agreement == pytest.approx(0.82, abs=0.002)
    assert found.jaccard == pytest.approx(found.jaccard_chance, abs=0.005)
    assert found.jaccard_chance == pytest.approx(0.01 / 0.19, abs=1e-5)


def test_densities_of_layers_raise_the_chance():
    """Masks that agree only in how much each layer keeps overlap by chance all the same."""
    uneven = mask(a=[1] * 8 + [0] * 2, b=[0] * 8 + [1] * 2)
    even = mask(a=[1] * 5 + [0] * 5, b=[1] * 5 + [0] * 5)
    assert mask_overlap(uneven, uneven).agreement_chance == pytest.approx(0.68)
    assert mask_overlap(even, even).agreement_chance == pytest.approx(0.5)


def test_masks_that_keep_all_or_nothing():
    empty, full = mask(a=[0, 0]), mask(a=[1, 1])
    for one in (empty, full):
        found = mask_overlap(one, one)
        assert (found.agreement, found.jaccard) == (1.0, 1.0)
        assert (found.agreement_chance, found.jaccard_chance) == (1.0, 1.0)
    assert mask_overlap(empty, full).jaccard == mask_overlap(empty, full).agreement == 0


@pytest.mark.parametrize("function", [mask_overlap, layer_overlaps])
def test_masks_of_other_networks_are_refused(function):
    with pytest.raises(ValueError, match="'b' is only in one of them"):
        function(FIRST, mask(a=[1, 0, 1, 0, 0]))
