"""The earliest matching step on made-up accuracies with known answers."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom

from winnow.analysis import earliest_step
from winnow.errors import UserError

STEPS = [0, 100, 500, 1000]


def test_each_replicate_and_the_mean():
    accuracies = [
        [80.0, 90.0, 91.0, 92.0],  # against 90: from 100
        [80.0, 81.0, 89.0, 91.0],  # against 90: from 1000
        [80.0, 91.0, 80.0, 85.0],  # against 90: one lucky step only
    ]
    found = earliest_step(STEPS, accuracies, [90.0, 90.0, 90.0])
    assert found.replicates == (100, 1000, None)
    assert found.by_mean is None  # the means are 80, 87.33, 86.67, 89.33
    assert (found.low, found.high, found.coverage) == (100, None, 0.75)
    near = earliest_step(STEPS, accuracies, [90.0, 90.0, 90.0], 3.0)
    assert near.replicates == (100, 500, None)
    assert near.by_mean == 1000
    assert earliest_step(STEPS, accuracies, [90.0, 90.0, 90.0], 3.5).by_mean == 100
    first = earliest_step(STEPS, accuracies, [90.0, 90.0, 90.0], lasting=False)
    assert first.replicates == (100, 1000, 100)
    assert first.high == 1000


def test_each_is_compared_with_its_own_dense_network():
    found = earliest_step([0, 5], [[90, 92], [90, 92]], [89, 91])
    assert found.replicates == (0, 5)
    assert found.by_mean == 0  # 90 ≥ 90: equal means match


def test_equal_means_match_whatever_their_rounding():
    found = earliest_step([0], [[0.1], [0.2], [0.3]], [0.3, 0.2, 0.1])
    assert found.by_mean == 0
    assert earliest_step([0], [[0.7]], [0.8], 0.1).replicates == (0,)  # 0.8 - 0.1 > 0.7 in floats


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 20])
def test_the_interval_covers_the_median_as_it_says(n):
    steps = list(range(n))
    accuracies = [[float(step >= own) for step in steps] for own in range(n)]
    found = earliest_step(steps, accuracies, [1.0] * n)
    assert found.replicates == tuple(range(n))
    k = found.low + 1
    assert found.high == n - k
    assert found.coverage == pytest.approx(1 - 2 * binom.cdf(k - 1, n, 0.5))
    assert found.coverage >= 0.95 or k == 1
    assert 1 - 2 * binom.cdf(k, n, 0.5) < 0.95  # the next is too narrow
    assert earliest_step(steps, accuracies[::-1], [1.0] * n).low == found.low


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([], [], []), "0 rewinding steps of 0 replicates"),
        (([0], [[1.0]], [1.0, 1.0]), "1 replicates, but 2 dense"),
        (([0, 5], [[1.0]], [1.0]), "replicate 0 has 1 accuracies for 2 steps"),
        (([5, 0], [[1.0, 1.0]], [1.0]), r"\[5, 0\] do not rise"),
        (([0], [[math.nan]], [1.0]), "not finite"),
        (([0], [[1.0]], [1.0], -0.5), "margin -0.5"),
    ],
)
def test_bad_input_is_named(given, words):
    with pytest.raises(UserError, match=words):
        earliest_step(*given)
