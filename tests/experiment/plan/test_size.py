"""How large a plan will be, counted without planning: never fewer than there are, and at once."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import winnow as wn
from winnow.errors import NeedsConfirmingError, UserError
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.plan.replicate import with_between
from winnow.experiment.plan.size import (
    MOST_ANALYSES,
    MOST_WEIGHTS,
    UNASKED_RUNS,
    check_plan_size,
    size_of,
)
from winnow.experiment.recipe.load import check_recipe, has_scale, load_recipe
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.scales import SCALES
from winnow.experiment.store.images import Source

BASE = {
    "data": {"name": "digits"},
    "model": {"name": "lenet-300-100", "hidden": [9, 5]},
    "train": {"steps": "20it", "batch": 50, "optimizer": {"name": "adam", "lr": 5e-3}},
    "replicates": 1,
}
SOURCES = {"digits": Source(1437, "usual")}


def recipe_with(**changes):
    return check_recipe(BASE | changes, "here")


def points_of(recipe):
    """Runs as a plan has them, one for each point and each run between points."""
    planned = expand_lines("here", recipe, SOURCES, confirmed=True)
    nodes = [node for plan in planned.plans for node in with_between(plan.nodes)]
    return len(nodes), len(planned.analyses)


_COUNTS = st.integers(0, 3)


@given(
    rounds=st.integers(0, 60),
    rate=st.sampled_from([0.01, 0.2, 0.5, 0.9]),
    scope=st.sampled_from(["layer", "global"]),
    rewind=st.sampled_from(["init", "none", "5it", "lr"]),
    controls=st.fixed_dictionaries(
        dict.fromkeys(("reinit", "random", "random-reinit", "reinit-masked", "permuted"), _COUNTS)
    ),
    order=_COUNTS,
    few=st.booleans(),
    once=st.sampled_from(["none", "paper", "rounds", [0.5, 0.2]]),
    replicates=st.integers(1, 2),
    pairs=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_no_plan_of_rounds_is_larger_than_counted(
    rounds, rate, scope, rewind, controls, order, few, once, replicates, pairs
):
    more = {"order": order, "one-shot": once, "noise": [0.5], "at-init": True}
    if few and order:
        more["order-densities"] = [0.5, 0.3]
    recipe = recipe_with(
        prune={"rounds": rounds, "rate": rate, "scope": scope, "rewind": rewind},
        controls=controls | more,
        replicates=replicates,
        analyses=[{"name": "overlap", "pairs": True} if pairs else {"name": "layer_densities"}],
    )
    size, (points, analyses) = size_of(recipe), points_of(recipe)
    assert points <= size.runs <= UNASKED_RUNS
    assert analyses <= size.analyses


@given(
    rate=st.sampled_from([None, 0.1, 0.2, 0.9]),
    controls=st.fixed_dictionaries({"shuffled": _COUNTS, "reinit": _COUNTS}),
    densities=st.lists(st.sampled_from([0.5, 0.2, 0.1, 0.05]), min_size=1, unique=True),
    inverted=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_no_comparison_is_larger_than_counted(rate, controls, densities, inverted):
    methods = [
        {"name": "snip"},
        {"name": "imp", "rate": rate, "controls": controls},
        {"name": "rigl"},
        {"name": "jackpot", "fine_tune": "5it"},
        {"name": "obd"},
    ]
    every = {"methods": methods, "densities": densities}
    recipe = recipe_with(compare=every | {"controls": controls | {"inverted": inverted}})
    assert points_of(recipe)[0] <= size_of(recipe).runs


def test_shipped_recipes_need_no_consent_at_any_scale():
    for name in shipped():
        for scale in SCALES:
            if has_scale(name, scale):
                check_plan_size(name, load_recipe(name, scale=scale), confirmed=False)


LARGE = {
    "replicates": {"replicates": 99_999_999},
    "rounds": {"prune": {"rounds": 10**9, "rate": 1e-4}, "model": {"name": "lenet-300-100"}},
    "draws": {"controls": {"reinit": 10**7}},
    "draws at once": {"controls": {"one-shot": "paper", "one-shot-reinit": 10**6}},
    "orders": {"controls": {"order": 10**6}},
    "noise": {"controls": {"noise": [n / 100 for n in range(1, 1000)]}},
    "weights": {"model": {"name": "lenet-300-100", "hidden": [10**9 // 30, 20]}},
    "controls of a method": {"compare": {"methods": ["snip"], "controls": {"shuffled": 10**6}}},
    "rounds of a method": {"compare": {"methods": [{"name": "imp", "rate": 1e-9}]}},
    "a rate that is nearly none": {"compare": {"methods": [{"name": "imp", "rate": 1e-300}]}},
    "densities": {
        "compare": {"methods": ["snip"], "densities": [n / 20_000 for n in range(1, 11_000)]}
    },
    "lines": {"lines": {f"l{n}": {"replicates": 1000 + n} for n in range(9)}},
    "pairs": {
        "controls": {"random": 1000},
        "prune": {"rounds": 2},
        "analyses": [{"name": "overlap", "pairs": True}],
    },
}


@pytest.mark.parametrize("changes", LARGE.values(), ids=LARGE)
def test_a_large_plan_asks_before_anything_is_built(changes, tmp_path):
    begun = time.process_time()
    with pytest.raises(NeedsConfirmingError, match=r"nothing is built yet.*--yes"):
        wn.run(BASE | changes, store=tmp_path)
    assert time.process_time() - begun < 3
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    "model",
    [
        {"name": "lenet-300-100", "hidden": [10**9, 10**9]},
        {"name": "lenet-300-100", "hidden": [10**12, 10**12]},
        {"name": "lenet-300-100", "hidden": [10**40]},
        {"name": "conv-2", "width": 1e9},
        {"name": "conv-2", "width": 1e300},
        {"name": "resnet-20", "width": 1e18},
    ],
    ids=range(6),
)
def test_a_network_that_no_machine_holds_is_refused_whatever_is_confirmed(model, tmp_path):
    for confirm in (False, True):
        with pytest.raises(UserError, match=r"never planned|larger than any|cannot"):
            wn.run(BASE | {"model": model}, store=tmp_path, confirm=confirm)


def test_who_confirms_is_not_asked(monkeypatch):
    recipe = recipe_with(replicates=3)
    monkeypatch.setattr("winnow.experiment.plan.size.UNASKED_RUNS", 5)
    with pytest.raises(NeedsConfirmingError):
        expand_lines("here", recipe, SOURCES)
    assert expand_lines("here", recipe, SOURCES, confirmed=True).runs


def test_the_numbers_that_docs_state():
    assert (UNASKED_RUNS, MOST_ANALYSES, MOST_WEIGHTS) == (10_000, 100_000, 500_000_000)
