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


def test_the_warm_start_of_a_search_costs_its_scoring():
    """SNIP goes once over 256 of 1,200 examples, GraSP three times; magnitude and chance do not."""
    starts = {"snip": 256 / 1200, "grasp": 3 * 256 / 1200, "magnitude": 0, "random": 0}
    made = comparison([{"name": "jackpot", "start": s, "label": s} for s in starts], [0.2])
    for start, scoring in starts.items():
        (node,) = points_of(made, start)
        assert node.cost == pytest.approx(4 + 4 + scoring)


def test_examples_are_counted_by_class_and_batch():
    """5 of each of 10 classes in each of 3 batches; and of 20 examples all that are trained on."""
    (node,) = points_of(comparison([{"name": "snip", "per_class": 5, "batches": 3}], [0.2]), "snip")
    assert node.cost == pytest.approx(4 + 150 / 1200)
    part = {"data": {"train": 100}, "train": {"batch": 5}}
    few = comparison(["jackpot", "data-dependent"], [0.2], **part)
    costs = {node.arm: node.cost for node in few.nodes if node.round}
    epochs = 96 / 20
    assert costs == pytest.approx({"jackpot": 2 * epochs, "data-dependent": epochs + 1})
    warm = {"name": "jackpot", "start": "snip"}
    (node,) = points_of(
        comparison([warm], [0.2], data={"train": 100}, train={"batch": 5}), "jackpot"
    )
    assert node.cost == pytest.approx(2 * epochs + 1)  # 256 are more than there are
