"""What points of comparisons cost in epochs, by hand."""

from __future__ import annotations

import pytest
from sample_plans import comparison, points_of, small

from winnow.algorithms.catalogue import METHODS


@pytest.fixture(scope="module")
def every():
    return comparison(METHODS)


def test_costs_count_everything_that_a_point_needs(every):
    """In epochs, by hand: 96 iterations are 4 epochs; a pass over 100 of 1,200 examples, 1/12."""
    expected = {
        "ticket": [4],
        "random": [4, 4],
        "snip": [4 + 1 / 12] * 2,
        "grasp": [4 + 3 / 12] * 2,
        "synflow": [4 + 100 / 1200] * 2,
        "data-dependent": [5, 5],
        "obd": [9, 9],
        "mlprune": [10, 10],
        "imp": [8, 12],
        "one-shot": [8, 8],
        "rigl": [4, 4],
        "edge-popup": [4, 4],
        "supermask": [4, 4],
        "jackpot": [8, 8],
    }
    for arm, costs in expected.items():
        assert [n.cost for n in points_of(every, arm)] == pytest.approx(costs), arm
    assert all(n.cost is None for n in small().nodes)


def test_rounds_after_training_cost_their_passes():
    """Each of OBD's 3 rounds is a pass over all, each of mlprune's 2: the score, the surgeon."""
    made = comparison([{"name": "obd", "rounds": 3}, {"name": "mlprune", "rounds": 3}], [0.1])
    for arm, cost in (("obd", 4 + 4 + 3), ("mlprune", 4 + 4 + 6)):
        (node,) = points_of(made, arm)
        assert node.run.pruning.rounds == 3
        assert "rounds" not in node.run.pruning.options
        assert node.cost == pytest.approx(cost)
