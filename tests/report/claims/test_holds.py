"""Answers from intervals and regions, of parts together, and the n that would decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from winnow.report.claims.evidence import Evidence, Gap
from winnow.report.claims.holds import MOST, Joined, Leaf, WantedRange, decide, leaves, needed

UP = WantedRange(0.0, math.inf)


def leaf(values: Sequence[float], region: WantedRange = UP, **fields) -> Leaf:
    return Leaf(Evidence(dict(enumerate(values)), 0.5, **fields), region)


def around(mean: float, spread: float, n: int = 5) -> list[float]:
    """n values of exactly this mean and standard deviation."""
    raw = np.arange(n, dtype=float)
    return list(mean + spread * (raw - raw.mean()) / raw.std(ddof=1))


YES, NO, OPEN = leaf(around(1, 0.1)), leaf(around(-1, 0.1)), leaf(around(0.1, 1))
GAP = Leaf(Gap("nothing"), UP)


def test_an_interval_inside_outside_and_across_the_edge() -> None:
    assert decide(YES) == "confirmed"
    assert decide(NO) == "contradicted"
    assert decide(OPEN) == "undecided"
    assert decide(GAP) == "not run"
    assert decide(leaf(around(0, 0.1), WantedRange(-0.2, 0.2))) == "confirmed"
    assert decide(leaf(around(0, 0.1), WantedRange(-0.1, 0.1))) == "undecided"  # 0.124 on each side
    assert decide(leaf(around(0.5, 0.1), WantedRange(-0.1, 0.1))) == "contradicted"


def test_two_replicates_decide_nothing_and_blocked_ones_neither() -> None:
    assert decide(leaf([1.0, 1.01])) == "undecided"
    assert decide(leaf([1.0, 1.01, 1.02])) == "confirmed"
    assert decide(leaf(around(1, 0.1), blocked="diverged")) == "undecided"
    assert decide(leaf([], blocked="diverged")) == "undecided"


def test_equal_replicates_are_judged_by_a_step_of_the_column() -> None:
    same = WantedRange(-0.005, 0.005)
    assert decide(leaf([0.0] * 5, same, resolution=1e-4)) == "confirmed"
    assert decide(leaf([0.0] * 5, same, resolution=0.01)) == "undecided"
    assert decide(leaf([0.0] * 5, same)) == "undecided"
    assert decide(leaf([0.02] * 5, same, resolution=0.01)) == "contradicted"
    assert decide(leaf([1000.0] * 5, WantedRange(-math.inf, 999), resolution=0.0)) == "contradicted"
    assert decide(leaf([1000.0] * 5, WantedRange(-math.inf, 1000), resolution=0.0)) == "confirmed"


@pytest.mark.parametrize(
    ("mean", "region", "bound", "said"),
    [
        (-1, WantedRange(-math.inf, 0), "below", "confirmed"),  # sooner, and truly sooner still
        (-1, WantedRange(-math.inf, 0), "above", "undecided"),
        (1, WantedRange(-math.inf, 0), "below", "undecided"),
        (1, WantedRange(-math.inf, 0), "above", "contradicted"),
        (-1, WantedRange(0, math.inf), "below", "contradicted"),
        (1, WantedRange(0, math.inf), "above", "confirmed"),
        (-1, WantedRange(-2, 0), "below", "undecided"),  # it could be less than −2
        (1, WantedRange(0, math.inf), "both", "undecided"),
    ],
)
def test_a_bound_decides_on_its_side_only(mean, region, bound, said) -> None:
    assert decide(leaf(around(mean, 0.1), region, bound=bound)) == said


@pytest.mark.parametrize(
    ("mode", "parts", "said"),
    [
        ("all", (YES, YES), "confirmed"),
        ("all", (YES, OPEN), "undecided"),
        ("all", (YES, NO), "contradicted"),
        ("all", (OPEN, NO), "contradicted"),
        ("all", (YES, GAP), "not run"),
        ("all", (GAP, NO), "contradicted"),
        ("any", (NO, NO), "contradicted"),
        ("any", (NO, OPEN), "undecided"),
        ("any", (NO, YES), "confirmed"),
        ("any", (GAP, YES), "confirmed"),
        ("any", (GAP, NO), "not run"),
    ],
)
def test_parts_together(mode, parts, said) -> None:
    assert decide(Joined(mode, parts)) == said


def test_one_of_k_parts_is_judged_at_a_kth_of_the_level() -> None:
    """A part whose p is 0.03 decides alone, and as one of two (0.025) does not."""
    n, spread = 5, 1.0
    t = float(stats.t.isf(0.03 / 2, n - 1))
    for sign, mode, alone in ((-1, "all", "contradicted"), (1, "any", "confirmed")):
        part = leaf(around(sign * t * spread / math.sqrt(n), spread))
        assert decide(part) == alone
        assert decide(Joined(mode, (part,))) == alone
        assert decide(Joined(mode, (part, OPEN))) == "undecided"
        nested = Joined("all", (Joined(mode, (part, OPEN)),))
        assert decide(nested) == "undecided"
    every = leaf(around(t * spread / math.sqrt(n), spread))
    assert decide(Joined("all", (every, every))) == "confirmed"  # uncorrected


def test_the_level_of_all_holds_in_simulation() -> None:
    """Of ten true parts, on the edge of what is claimed, fewer than 5 % of claims are refuted."""
    draws = np.random.default_rng(11).normal(0, 1, size=(400, 10, 5))
    answers = [decide(Joined("all", tuple(leaf(list(part)) for part in one))) for one in draws]
    assert answers.count("contradicted") / 400 <= 0.05
    uncorrected = [any(decide(leaf(list(part))) == "contradicted" for part in one) for one in draws]
    assert sum(uncorrected) / 400 > 0.1


@pytest.mark.parametrize("mean", [0.2, 0.5, 1.0, -0.4])
def test_the_smallest_n_is_the_first_whose_interval_decides(mean) -> None:
    """By Student's t, from SciPy's statistics: t·s/√n ≤ |mean|."""
    reach = [n for n in range(4, 1000) if stats.t.isf(0.025, n - 1) / math.sqrt(n) <= abs(mean)]
    found = needed(leaf(around(mean, 1.0, n=3)))
    assert found == (reach[0] if reach[0] <= MOST else None)


def test_the_smallest_n_of_a_simulated_effect_decides() -> None:
    """An effect and a spread for which 17 replicates suffice and 16 do not, with these moments."""
    first = needed(leaf(around(0.53, 1.0, 3)))
    assert first == 17
    for n in range(3, 40):
        assert decide(leaf(around(0.53, 1.0, n))) == ("confirmed" if n >= first else "undecided")


def test_no_n_helps_what_is_blocked_single_or_on_the_edge() -> None:
    assert needed(leaf(around(1, 2), blocked="diverged")) is None
    assert needed(leaf([1.0])) is None
    assert needed(leaf(around(0, 1))) is None
    assert needed(leaf([1.0, 1.1])) == 3
    assert needed(GAP) is None
    assert needed(Joined("any", (GAP, leaf(around(0.5, 1, 3))))) is not None


def test_leaves_are_in_order() -> None:
    assert leaves(Joined("all", (YES, Joined("any", (NO, OPEN))))) == [YES, NO, OPEN]
