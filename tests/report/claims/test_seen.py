"""What a small scale shows: signs, replicate by replicate."""

from __future__ import annotations

import math

import pytest

from winnow.report.claims.evidence import Evidence, Gap
from winnow.report.claims.holds import Joined, Leaf, WantedRange
from winnow.report.claims.seen import seen


def leaf(*values: float, low: float = 0.0, high: float = math.inf, sided="side", **fields) -> Leaf:
    return Leaf(Evidence(dict(enumerate(values)), 0.5, **fields), WantedRange(low, high), sided)


@pytest.mark.parametrize(
    ("values", "low", "high", "said"),
    [
        ((0.1, 0.0), 0, math.inf, True),
        ((0.1, -0.1), 0, math.inf, False),
        ((0.1, 0.01), 0.3, math.inf, True),  # smaller than claimed, on its side
        ((0.1, 0.0), 0.3, math.inf, False),
        ((-0.1, -3.0), -math.inf, 0, True),
        ((0.0, -3.0), -math.inf, -1, False),
        ((0.0, 0.5), -1, 1, True),
        ((0.0, 1.5), -1, 1, False),
    ],
)
def test_the_side_of_a_difference(values, low, high, said) -> None:
    assert seen(leaf(*values, low=low, high=high)) == said


def test_a_value_must_lie_in_its_region_and_a_crossing_only_be_there() -> None:
    assert not seen(leaf(0.1, low=0.3, sided="region"))
    assert seen(leaf(0.4, low=0.3, sided="region"))
    assert seen(leaf(-9.0, low=-1, high=1, sided="crosses"))


def test_what_is_blocked_missing_or_empty_is_not_seen() -> None:
    assert not seen(leaf(1.0, blocked="diverged"))
    assert not seen(leaf())
    assert not seen(Leaf(Gap("nothing"), WantedRange(0, 1)))


def test_parts() -> None:
    yes, no = leaf(1.0), leaf(-1.0)
    assert seen(Joined("all", (yes, yes)))
    assert not seen(Joined("all", (yes, no)))
    assert seen(Joined("any", (yes, no)))
    assert not seen(Joined("any", (no, no)))


def test_of_several_densities_each_replicates_mean_counts() -> None:
    def rounds(*leaves: Leaf) -> Joined:
        return Joined("all", leaves, rounds=True)

    assert seen(rounds(leaf(0.3, 0.2), leaf(-0.1, 0.1), leaf(0.1, -0.1)))
    assert not seen(rounds(leaf(0.3, 0.2), leaf(-0.1, -0.3)))
    assert not seen(Joined("all", (leaf(0.3), leaf(-0.1))))
    censored = leaf(-9.0, blocked="censored")
    assert seen(rounds(leaf(0.3), censored))
    assert not seen(rounds(leaf(0.3), censored, censored))
    assert not seen(rounds(leaf(0.3), Leaf(Gap("none"), WantedRange(0, 1)), censored))
    ratios = rounds(leaf(math.log(4.0), log=True), leaf(math.log(0.5), log=True))
    assert seen(ratios), "the geometric mean is above 1"
    assert seen(
        rounds(
            leaf(0.9, low=-1, high=1, sided="region"), leaf(1.05, low=-1, high=1, sided="region")
        )
    )
