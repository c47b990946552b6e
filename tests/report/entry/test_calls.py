"""Calls against closed forms, and their error and power in simulated comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from winnow.report.entry.calls import MOST_REPLICATES, calls, deciding_n, one_call

DENSITIES = 5


def sweep(accuracies):
    """Replicate → accuracies, of an array (replicates, densities)."""
    return {number: list(map(float, line)) for number, line in enumerate(accuracies)}


def made(random, n, effect=0.0, shared=0.0):
    """Two methods whose paired differences have standard deviation 1 at each density.

    ``shared``: the correlation of the differences between densities.
    """
    base = random.normal(0, 3, (n, 1))
    common = math.sqrt(shared) * random.standard_normal((n, 1))
    noise = common + math.sqrt(1 - shared) * random.standard_normal((n, DENSITIES))
    reference = base + random.normal(0, 2, (1, DENSITIES))
    return sweep(reference + effect + noise), sweep(reference)


def called(found):
    return [found.overall.called, *(call.called for call in found.at)]


def test_a_call_is_the_paired_t_test_of_scipy():
    random = np.random.default_rng(3)
    one, other = random.normal(0.5, 1, 6), random.normal(0, 1, 6)
    call = one_call(list(zip(one, other, strict=True)), 0.02)
    test = stats.ttest_rel(one, other)
    low, high = test.confidence_interval(0.98)
    assert (call.interval.low, call.interval.high) == pytest.approx((low, high))
    assert call.mean == pytest.approx(one.mean() - other.mean())
    assert (call.called != "open") == (test.pvalue < 0.02)


def test_the_mean_has_half_of_the_error_and_densities_share_the_rest():
    random = np.random.default_rng(0)
    better = calls(*made(random, 5, effect=5))
    assert better.overall.called == "better"
    assert [call.alpha for call in better.at] == pytest.approx([0.05 / DENSITIES] * DENSITIES)
    same = calls(*made(np.random.default_rng(1), 5))
    assert same.overall.called == "open"
    assert same.overall.alpha == 0.025
    assert [call.alpha for call in same.at] == pytest.approx([0.025 / DENSITIES] * DENSITIES)


def test_only_common_replicates_count():
    one, other = made(np.random.default_rng(2), 6)
    del one[0], other[5]
    found = calls(one, other)
    assert found.overall.n == 4
    assert calls({7: [1.0]}, other) is None


def test_one_replicate_and_equal_ones_are_open():
    assert calls({0: [0.9]}, {0: [0.1]}).overall.called == "open"
    equal = calls({0: [0.9], 1: [0.8]}, {0: [0.5], 1: [0.4]})
    assert equal.overall.called == "open"
    assert equal.overall.interval is None
    assert equal.overall.decides is None


@pytest.mark.parametrize("ratio", [3.0, 1.0, 0.3, 0.05])
def test_the_n_that_decides_is_the_first_one(ratio):
    changes = np.array([-1.0, 0, 1]) + ratio  # mean `ratio`, deviation 1
    n = deciding_n(list(changes), 0.025)
    quantile = lambda k: stats.t.ppf(1 - 0.0125, k - 1) / math.sqrt(k)  # noqa: E731
    assert quantile(n) < ratio
    assert n == 2 or quantile(n - 1) >= ratio


def test_no_n_decides_a_mean_of_zero_or_one_that_is_too_small():
    assert deciding_n([-1.0, 0.0, 1.0], 0.05) is None
    assert deciding_n([1.0], 0.05) is None
    assert deciding_n([-1.0, 0.0, 1.003], 0.05) is None  # 0.001: over MOST_REPLICATES
    assert stats.t.ppf(0.975, MOST_REPLICATES - 1) / math.sqrt(MOST_REPLICATES) > 0.001


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("n", [3, 5])
def test_an_equal_method_is_called_anything_in_at_most_five_percent(shared, n):
    random = np.random.default_rng(10)
    trials = 2000
    wrong = sum(
        any(word != "open" for word in called(calls(*made(random, n, shared=shared))))
        for _ in range(trials)
    )
    assert wrong / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)  # 2 deviations of chance
    assert wrong > 0


@pytest.mark.parametrize(("n", "shared"), [(5, 0.0), (5, 0.25), (8, 0.95)])
def test_a_method_better_by_two_deviations_is_found(n, shared):
    """With noise that densities share, their mean is hardly sharper than one: that takes n = 8."""
    random = np.random.default_rng(11)
    trials = 1000
    made_up = (made(random, n, effect=2, shared=shared) for _ in range(trials))
    found = [calls(*pair).overall.called for pair in made_up]
    assert found.count("better") >= 0.95 * trials
    assert "worse" not in found


def test_a_method_that_is_worse_is_found():
    random = np.random.default_rng(12)
    found = [calls(*made(random, 5, effect=-2)).overall.called for _ in range(300)]
    assert found.count("worse") >= 0.95 * 300
