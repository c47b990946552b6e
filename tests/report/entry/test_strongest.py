"""The strongest of many: no favour for the luckiest, in simulated comparisons of 20 methods."""

from __future__ import annotations

import math

import numpy as np
import pytest

from winnow.report.entry.calls import calls
from winnow.report.entry.strongest import calls_against_strongest, left_out, strongest

METHODS, DENSITIES = 20, 5


def sweep(accuracies):
    return {number: list(map(float, line)) for number, line in enumerate(accuracies)}


def comparison(random, n, levels, own):
    """One's own method at level ``own`` and others at ``levels``; deviation 1 of each number."""
    base = random.normal(0, 2, (n, 1))
    each = [base + level + random.standard_normal((n, DENSITIES)) for level in [own, *levels]]
    return sweep(each[0]), {f"m{k}": sweep(one) for k, one in enumerate(each[1:])}


def rate(n, levels, own, trials, words, seed):
    random = np.random.default_rng(seed)
    count = 0
    for _ in range(trials):
        found = calls_against_strongest(*comparison(random, n, levels, own))
        count += any(c.called in words for c in (found.overall, *found.at))
    return count / trials


def most(trials):
    return 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)


EQUAL = [0.0] * METHODS
ONE_AHEAD = [3.0] + [0.0] * (METHODS - 1)
CLOSE = list(np.linspace(0, -1, METHODS))


@pytest.mark.parametrize(
    ("levels", "own"), [(EQUAL, 0.0), (ONE_AHEAD, 3.0), (CLOSE, 0.0)], ids=["equal", "one", "close"]
)
@pytest.mark.parametrize("n", [3, 5])
def test_one_as_good_as_the_strongest_is_called_anything_in_at_most_five_percent(levels, own, n):
    trials = 400
    assert rate(n, levels, own, trials, ("better", "worse"), 20) <= most(trials)


def test_the_naive_comparison_with_the_luckiest_would_not():
    """Else the test above could not fail."""
    random = np.random.default_rng(21)
    trials, wrong = 300, 0
    for _ in range(trials):
        own, others = comparison(random, 5, EQUAL, 0.0)
        wrong += calls(own, others[strongest(others)]).overall.called == "worse"
    assert wrong / trials > 0.05  # of 0.0125 that the level allows on this side


def test_one_better_than_all_is_found_and_one_far_behind_too():
    random = np.random.default_rng(22)
    found = []
    for own in (5.0, -1.0):
        called = [
            calls_against_strongest(*comparison(random, 5, ONE_AHEAD, own)).overall.called
            for _ in range(200)
        ]
        found.append(called)
    better, worse = found
    assert better.count("better") >= 0.95 * 200
    assert worse.count("worse") >= 0.95 * 200


def test_the_reference_of_a_replicate_is_chosen_by_the_others():
    methods = {"a": {0: [9.0], 1: [1.0], 2: [1.0]}, "b": {0: [1.0], 1: [3.0], 2: [4.0]}}
    assert strongest(methods) == "a"
    assert left_out(methods, [0, 1, 2]) == {0: "b", 1: "a", 2: "a"}
    own = {0: [2.0], 1: [2.0], 2: [2.0]}
    found = calls_against_strongest(own, methods).overall
    assert found.reference == pytest.approx((1.0 + 1.0 + 1.0) / 3)
    assert found.mean == pytest.approx(1.0)


def test_better_than_the_strongest_is_better_than_every_single_one():
    """Far above the one that is chosen, but not to be told from another one of large spread."""
    own = {k: [10.0 + 0.1 * k] for k in range(4)}
    methods = {
        "steady": {k: [5.0] for k in range(4)},
        "wild": {0: [8.0], 1: [-9.0], 2: [6.0], 3: [-5.0]},
    }
    assert calls(own, methods["steady"]).overall.called == "better"
    assert calls(own, methods["wild"]).overall.called == "open"
    found = calls_against_strongest(own, methods)
    assert found.overall.interval.low > 0
    assert found.overall.called == "open"
    assert calls_against_strongest(own, {"steady": methods["steady"]}).overall.called == "better"


def test_without_methods_or_replicates_nothing_is_said():
    assert calls_against_strongest({0: [1.0]}, {}) is None
    assert calls_against_strongest({0: [1.0]}, {"a": {1: [1.0]}}) is None
