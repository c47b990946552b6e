"""Which rounds are trained in other orders; what is trained is in test_rounds."""

from __future__ import annotations

import pytest

from winnow.algorithms.rounds import iterative
from winnow.experiment.plan.other_orders import rounds_at

SIZES = {"a": 600, "b": 400}


@pytest.mark.parametrize(
    ("densities", "rounds"),
    [
        ([0.5], {1}),
        ([0.125], {3}),
        ([1.0, 0.001], {1, 3}),
        ([0.355], {1}),  # 0.5 and 0.25 meet at 0.354 in logarithm, and at 0.375 without
        ([0.352], {2}),
        ([0.25, 0.26], {2}),
        ([], set()),
    ],
)
def test_the_nearest_rounds_in_logarithm(densities, rounds) -> None:
    for scope in ("global", "layer"):  # a count for all, or one for each layer
        walk = iterative(SIZES, rounds=3, rate=0.5, scope=scope)
        assert rounds_at(walk, densities, 1000) == rounds


def test_without_rounds_there_is_none() -> None:
    assert rounds_at(iterative(SIZES, rounds=0, rate=0.5), [0.5], 1000) == frozenset()
