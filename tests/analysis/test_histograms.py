"""Bins and shares against counting one value at a time."""

from __future__ import annotations

import math

import pytest
import torch

from winnow.analysis import linear_bins, log_bins, zero_shares
from winnow.errors import UserError


def counted(bins, values):
    """One value at a time."""
    shares, sides = [0.0] * len(bins.middles), len(bins.edges) - 1
    for v in values:
        passed = min(sum(abs(v) >= edge for edge in bins.edges), sides)
        shares[sides + int(math.copysign(passed, v))] += 1 / len(values)
    return shares


@pytest.mark.parametrize("bins", [log_bins(1e-3, 1.0, 2), linear_bins(1.0, 7)])
def test_shares_are_those_of_counting(bins):
    values = torch.randn(500, generator=torch.Generator().manual_seed(0)).double() ** 3
    values = torch.cat([values, torch.zeros(3), torch.tensor([1e-12, -1e-12, 5.0, -7.0, 1.0])])
    shares = bins.shares(values.view(4, -1))
    assert shares == pytest.approx(counted(bins, values.tolist()))
    assert sum(shares) == pytest.approx(1)
    assert bins.shares(-values) == pytest.approx(shares[::-1])  # symmetric


def test_edges_are_those_documented():
    bins = log_bins(0.01, 1.0, 1)
    assert bins.edges == pytest.approx((0.01, 0.1, 1.0))
    root = math.sqrt(10)
    assert bins.middles == pytest.approx((-1 / root, -0.1 / root, 0, 0.1 / root, 1 / root))
    assert bins.shares(torch.tensor([0.009, -0.02, 0.5, 0.7, 99.0, -99.0, 0.0, 0.02])) == [
        1 / 8, 1 / 8, 2 / 8, 1 / 8, 3 / 8]  # fmt: skip
    assert linear_bins(1.5, 3).edges == pytest.approx((0.5, 1.5))
    assert linear_bins(1.5, 3).middles == pytest.approx((-1, 0, 1))
    assert len(log_bins(1e-8, 10.0, 2).middles) == 2 * 18 + 1


def test_values_at_and_near_zero():
    found = zero_shares(torch.tensor([0.0, -0.0, 1e-3, -1e-4, 1.0], dtype=torch.float64), 1e-3)
    assert (found.count, found.zero, found.near) == (5, 0.4, 0.8)
    empty = zero_shares(torch.zeros(0), 1e-3)
    assert (empty.count, empty.zero, empty.near) == (0, None, None)
    assert log_bins(1e-3, 1.0, 2).shares(torch.zeros(0)) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: log_bins(0.0, 1.0, 2), "from 0.0 to 1.0"),
        (lambda: log_bins(2.0, 1.0, 2), "from 2.0 to 1.0"),
        (lambda: linear_bins(1.0, 4), "4 equal bins"),
        (lambda: linear_bins(-1.0, 5), "--1.0 to -1.0"),
        (lambda: zero_shares(torch.ones(1), -1.0), "within -1.0"),
        (lambda: linear_bins(1.0, 5).shares(torch.tensor([1.0, math.nan])), "1 of 2 values"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(UserError, match=words):
        make()
