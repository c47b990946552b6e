"""Spearman's ρ against scipy, its interval against simulated coverage and a formula by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from winnow.analysis import spearman
from winnow.errors import UserError
from winnow.rng import stream


@pytest.mark.parametrize("ties", [False, True])
def test_rho_is_that_of_scipy(ties):
    random = stream(0, "spearman", int(ties))
    for n in (2, 3, 8, 40):
        x, y = random.normal(size=(2, n)) + random.normal(size=n)
        if ties and n > 3:
            x, y = np.round(x), np.round(y)
        right = stats.spearmanr(x, y).statistic
        assert spearman(x.tolist(), y.tolist()).rho == pytest.approx(right, abs=1e-12)


def test_the_interval_by_hand():
    x, y = [1, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 7, 5, 6]
    found = spearman(x, y)
    rho = 1 - 6 * (1 + 1 + 1 + 1 + 4 + 1 + 1) / (7 * 48)
    half = 1.959963984540054 * math.sqrt((1 + rho * rho / 2) / 4)
    assert found.rho == pytest.approx(rho)
    assert found.low == pytest.approx(math.tanh(math.atanh(rho) - half))
    assert found.high == pytest.approx(math.tanh(math.atanh(rho) + half))
    narrow = spearman(x, y, level=0.5)
    assert found.low < narrow.low < narrow.high < found.high
    assert spearman(y, [-value for value in x]).low == pytest.approx(-found.high)


def test_the_interval_covers_the_true_value():
    """For normal pairs of correlation r the true ρ is 6/π·arcsin(r/2)."""
    random, r, hits = stream(0, "coverage"), 0.7, 0
    true = 6 / math.pi * math.asin(r / 2)
    for _ in range(600):
        x = random.normal(size=30)
        y = r * x + math.sqrt(1 - r * r) * random.normal(size=30)
        found = spearman(x.tolist(), y.tolist())
        hits += found.low <= true <= found.high
    assert 0.92 < hits / 600 < 0.98


def test_few_and_perfect_pairs():
    three = spearman([1, 2, 3], [1, 3, 2])
    assert (three.rho, three.low, three.high) == (pytest.approx(0.5), None, None)
    perfect = spearman([1, 2, 3, 9], [1.0, 4.0, 5.0, 6.0])
    assert (perfect.rho, perfect.low, perfect.high) == (1, 1, 1)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([1, 2], [1], "2 and 1 values"),
        ([1], [1], "1 and 1 values"),
        ([1, math.inf], [1, 2], "not finite"),
        ([3, 3, 3], [1, 2, 3], "all 3 values are 3"),
    ],
)
def test_bad_input_is_named(x, y, words):
    with pytest.raises(UserError, match=words):
        spearman(x, y)
