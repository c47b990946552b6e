"""Parts of a gain: by hand, their sum, planted causes told apart, intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from winnow.report.parts.decompose import (
    CELLS,
    INITIALISATION,
    LAYERS,
    MASK,
    PARTS,
    decompose,
)

NOISE = 0.01


def cells(*columns):
    """Cells of one replicate or several, in the order of CELLS."""
    return {
        name: dict(enumerate(np.atleast_1d(column).astype(float).tolist()))
        for name, column in zip(CELLS, columns, strict=True)
    }


def planted(random, n, *, layers=0.0, mask=0.0, initialisation=0.0, interaction=0.0):
    """Accuracies in which each part has its size, replicates differ, and each cell has noise."""
    base = random.normal(0.7, 0.05, n)
    own = [
        layers + mask + initialisation + interaction,  # ticket
        layers + mask,  # reinit
        layers + initialisation,  # random
        layers,  # random-reinit
        0.0,  # uniform-reinit
    ]
    return cells(*(base + size + random.normal(0, NOISE, n) for size in own))


def means(parts):
    return {part.name: part.mean for part in parts.parts}


def test_by_hand():
    found = decompose(cells(0.97, 0.93, 0.90, 0.88, 0.80))
    expected = {LAYERS: 0.08, MASK: (0.05 + 0.07) / 2, INITIALISATION: (0.02 + 0.04) / 2}
    assert means(found) == pytest.approx(expected)
    assert found.gain.mean == pytest.approx(0.17)
    assert found.interaction.mean == pytest.approx(0.02)
    assert found.n == 1
    assert found.gain.interval is None
    assert found.told == ()


def test_shapley_values_by_the_orders_of_joining():
    """The definition: what each player brings, the mean over all orders."""
    random = np.random.default_rng(5)
    columns = random.uniform(0, 1, 5)
    worth = {
        frozenset({"mask", "initialisation"}): columns[0],
        frozenset({"mask"}): columns[1],
        frozenset({"initialisation"}): columns[2],
        frozenset(): columns[3],
    }
    found = means(decompose(cells(*columns)))
    for player, other in (("mask", "initialisation"), ("initialisation", "mask")):
        first = worth[frozenset({player})] - worth[frozenset()]
        second = worth[frozenset({player, other})] - worth[frozenset({other})]
        assert found[player] == pytest.approx((first + second) / 2)


accuracies = st.lists(st.floats(0, 1), min_size=5, max_size=5)


@given(st.lists(accuracies, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_parts_sum_to_the_gain(replicates):
    found = decompose(cells(*np.array(replicates).T))
    assert math.fsum(part.mean for part in found.parts) == pytest.approx(found.gain.mean, abs=1e-12)
    assert found.cells["ticket"] - found.cells["uniform-reinit"] == pytest.approx(
        found.gain.mean, abs=1e-12
    )


@given(st.floats(-1, 1), accuracies)
@settings(deadline=None)
def test_the_interaction_is_shared_by_halves(extra, single):
    before = decompose(cells(*single))
    after = decompose(cells(single[0] + extra, *single[1:]))
    assert after.interaction.mean - before.interaction.mean == pytest.approx(extra, abs=1e-9)
    change = {k: means(after)[k] - means(before)[k] for k in PARTS}
    expected = {LAYERS: 0, MASK: extra / 2, INITIALISATION: extra / 2}
    assert change == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"initialisation": 0.1}, {INITIALISATION}),
        ({"mask": 0.1}, {MASK}),
        ({"layers": 0.1}, {LAYERS}),
        ({"layers": 0.1, "mask": -0.1}, {LAYERS, MASK}),
        ({"interaction": 0.2}, {MASK, INITIALISATION}),
        ({}, set()),
    ],
    ids=["initialisation", "mask", "layers", "opposed", "interaction", "nothing"],
)
def test_planted_causes_are_told_apart(sizes, told):
    random = np.random.default_rng(8)
    trials = 400
    right = wrong = 0
    for _ in range(trials):
        found = decompose(planted(random, 5, **sizes))
        names = {part.name for part in found.told}
        right += told <= names
        wrong += not names <= told
    assert right >= 0.95 * trials
    assert wrong <= (0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)) * trials


def test_signs_and_order_of_what_is_told():
    sizes = {"layers": -0.3, "mask": 0.1}
    found = decompose(planted(np.random.default_rng(9), 8, **sizes))
    assert [part.name for part in found.told] == [LAYERS, MASK]
    assert found.told[0].mean < 0 < found.told[1].mean


def test_intervals_cover_together_and_alone():
    random = np.random.default_rng(10)
    sizes = {"layers": 0.2, "mask": 0.05, "initialisation": 0.01, "interaction": 0.02}
    truth = {LAYERS: 0.2, MASK: 0.06, INITIALISATION: 0.02}
    trials = 2000
    together = gain = interaction = 0
    for _ in range(trials):
        found = decompose(planted(random, 4, **sizes))
        together += all(
            part.interval.low <= truth[part.name] <= part.interval.high for part in found.parts
        )
        gain += found.gain.interval.low <= 0.28 <= found.gain.interval.high
        interaction += found.interaction.interval.low <= 0.02 <= found.interaction.interval.high
    chance = 2.5 * math.sqrt(0.05 * 0.95 / trials)
    assert together / trials >= 0.95 - chance
    assert gain / trials == pytest.approx(0.95, abs=chance)
    assert interaction / trials == pytest.approx(0.95, abs=chance)


def test_intervals_are_those_of_scipy():
    made = planted(np.random.default_rng(11), 6, mask=0.03)
    found = decompose(made)
    at = {name: np.array([made[name][k] for k in range(6)]) for name in CELLS}
    layers = stats.ttest_rel(at["random-reinit"], at["uniform-reinit"])
    low, high = layers.confidence_interval(1 - 0.05 / 3)
    interval = found.parts[0].interval
    assert (interval.low, interval.high) == pytest.approx((low, high))
    low, high = stats.ttest_rel(at["ticket"], at["uniform-reinit"]).confidence_interval(0.95)
    assert (found.gain.interval.low, found.gain.interval.high) == pytest.approx((low, high))


def test_only_replicates_with_every_cell_count():
    made = planted(np.random.default_rng(12), 4)
    del made["reinit"][0]
    made["random"][9] = 0.5
    assert decompose(made).n == 3
    assert decompose({**made, "random": {9: 0.5}}) is None


def test_a_missing_or_unknown_cell_is_refused():
    made = planted(np.random.default_rng(13), 2)
    del made["random"]
    with pytest.raises(ValueError, match="the cells are ticket, reinit, random, random-reinit"):
        decompose(made)
