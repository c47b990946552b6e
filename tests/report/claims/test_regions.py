"""Regions of parts on the scale that they are judged on."""

from __future__ import annotations

import math

import pytest
from made_claims import claim

from winnow.report.claims.regions import region


def bounds(**fields):
    found = region(claim(**fields).parts()[0], 0.25)
    return found.low, found.high


def test_differences_and_values_are_as_written() -> None:
    assert bounds() == (0, math.inf)
    assert bounds(expect=[-0.5, 0.35]) == (-0.5, 0.35)
    assert bounds(same=0.005) == (-0.005, 0.005)
    assert bounds(compare=["ticket"], expect=[0.98, "inf"]) == (0.98, math.inf)


def test_ratios_are_logarithms() -> None:
    kind = {"as": "ratio"}
    assert bounds(expect=[2, 4], **kind) == pytest.approx((math.log(2), math.log(4)))
    assert bounds(expect=[0, 1], **kind) == (-math.inf, 0)
    assert bounds(same=0.1, **kind) == pytest.approx((math.log(1 / 1.1), math.log(1.1)))


def test_a_crossing_is_within_a_round_of_what_is_stated() -> None:
    low, high = bounds(at={"density": 3.6}, **{"as": "crossing"})
    assert (math.exp(low), math.exp(high)) == pytest.approx(
        (0.036 * math.exp(-0.25), 0.036 * math.exp(0.25))
    )
