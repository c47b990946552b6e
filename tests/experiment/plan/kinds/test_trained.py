"""Methods that prune trained networks: rounds by a rate of their own, and their controls."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_plans import ALL, comparison, points_of

import winnow as wn
from winnow.cli.describe.plan import describe_plan
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.plan.replicate import with_between
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.runs import ALL_IMAGES, Record, Start
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.job import initial_network

pytestmark = pytest.mark.usefixtures("own_cache")

WRITTEN = {
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [20, 12]},
    "train": {
        "steps": "30it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "evaluate": "10it",
    },
    "replicates": 1,
    "engine": "dense",
}


def counts(made, arm):
    """What every round of an arm keeps, and whether it is a point."""
    own = [n for n in with_between(made.nodes) if n.arm == arm and n.replicate == 0]
    points = {id(n) for n in made.nodes}
    return [(n.run.keep, id(n) in points) for n in own]


def test_rounds_by_hand():
    """1,580 weights: 20 % of those left a round, to 790 and 158."""
    made = comparison([{"name": "imp", "rate": 0.2}], [0.5, 0.1])
    assert ALL == 1580
    fifths = [round(1580 * 0.8**k) for k in (1, 2, 3)]
    from_half = [round(1580 * 0.5 * 0.8**k) for k in range(1, 8)]
    assert from_half[-1] > 158 > 1580 * 0.5 * 0.8**8
    assert counts(made, "imp") == [
        *((keep, False) for keep in fifths),
        (790, True),
        *((keep, False) for keep in from_half),
        (158, True),
    ]
    own = [n for n in with_between(made.nodes) if n.arm == "imp" and n.replicate == 1]
    parents = [made.nodes[1].run, *(n.run for n in own)]
    assert parents[0].pruning is None
    for parent, node in zip(parents, own, strict=False):
        assert node.run.pruning.of == parent.id
        assert node.run.start == Start("init")
    assert [n.cost for n in points_of(made, "imp", 0)] == pytest.approx([4 * 5, 4 * 13])
    plainly = Record(measured=ALL_IMAGES)  # of a few
    assert all(n.record == plainly for n in own if n.run.keep not in (790, 158))


def test_a_density_of_the_grid_needs_no_round_more():
    made = comparison([{"name": "imp", "rate": 0.5}], [0.5, 0.25, 0.125])
    assert [point for _, point in counts(made, "imp")] == [True] * 3
    assert [n.run for n in points_of(made, "imp")] == [
        n.run for n in points_of(comparison(["imp"], [0.5, 0.25, 0.125]), "imp")
    ]


def test_without_a_rate_runs_are_as_ever():
    bare = comparison(["imp"])
    assert list(comparison([{"name": "imp", "rate": None}]).runs) == list(bare.runs)
    assert all(n.between == () for n in bare.nodes)


@settings(deadline=None, max_examples=40)
@given(
    st.floats(0.05, 0.95),
    st.lists(st.integers(1, 100), min_size=1, max_size=4, unique=True),
    st.sampled_from(["global", "layer", "er", "erk", "uniform"]),
    st.sampled_from([(), ("output",)]),
    st.booleans(),
)
def test_each_round_removes_the_rate_at_most_and_densities_are_exact(
    rate, percent, scope, ignore, controls
):
    method = {"name": "imp", "rate": rate, "ignore": list(ignore)}
    method |= {"controls": {"reinit": 1, "shuffled": 1}} if controls else {}
    densities = [p / 100 for p in percent]
    compare = {"methods": [method], "densities": densities, "scope": scope}
    try:
        made = comparison([method], densities, compare=compare)
        plain = comparison(["imp"], densities, compare={**compare, "methods": [
            {"name": "imp", "ignore": list(ignore)}]})  # fmt: skip
    except UserError as error:
        if not any(words in str(error) for words in ("ignores", "keeps no", "least")):
            raise
        return
    for replicate in (0, 1):
        own = [n for n in with_between(made.nodes) if n.arm == "imp" and n.replicate == replicate]
        kept = [sum(k.values()) if isinstance(k := n.run.keep, dict) else k for n in own]
        left = sum(made.nodes[0].weights_kept for _ in (0,)) - (100 if ignore else 0)
        for now in kept:
            assert now <= left
            assert now >= left * (1 - rate) - 4 or scope in ("er", "erk")  # rounding of each layer
            left = now
    wanted = [n.run.keep for n in points_of(plain, "imp")]
    assert [n.run.keep for n in points_of(made, "imp")] == wanted
    seen = list(made.runs)
    for run in made.runs.values():
        assert all(seen.index(parent) < seen.index(run.id) for parent in run.parents)
    for arm in [name for name in made.arm_names if name != "ticket"]:
        only = made.only([arm])
        assert all(parent in only.runs for run in only.runs.values() for parent in run.parents)


@pytest.mark.parametrize("rewind", ["init", "20it", "lr", "none"])
def test_states_on_the_way_are_recorded(rewind):
    made = comparison([{"name": "imp", "rate": 0.4, "rewind": rewind, "train": "40it"}], [0.5, 0.2])
    for run in made.runs.values():
        for parent, step in run.needs:
            assert step is None or step in made.records[parent].states


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ({"name": "imp", "rate": 0}, "rate of imp is 0: give the part"),
        ({"name": "imp", "rate": 1.0}, "rate of imp is 1.0"),
        ({"name": "imp", "rate": "fast"}, "rate of imp is 'fast'"),
        ({"name": "imp", "rate": True}, "rate of imp is True"),
        ({"name": "imp", "rate": 1e-6}, "rate of imp is 1e-06, which removes none of 1580"),
        ({"name": "one-shot", "rate": 0.2}, "rate"),
        ({"name": "obd", "rate": 0.2}, "rate"),
        ({"name": "imp", "rate": 0.2, "rewind": "none", "fine_tune": "0it"}, "pruned again before"),
        (
            {"name": "imp", "rate": 0.5, "rewind": "none", "fine_tune": "9it", "train": "10it"},
            "ends later rounds after 9",
        ),
    ],
)
def test_rates_that_make_no_sense_are_refused(method, said):
    with pytest.raises(UserError, match=said):
        comparison([method], [0.2])


@pytest.mark.parametrize("name", ["imp", "one-shot", "obd", "mlprune"])
def test_a_control_differs_in_one_thing(name):
    own = {"shuffled": 2, "reinit": 1}
    made = comparison([{"name": name, "controls": own}, "snip"])
    assert made.arm_names == ["ticket", name, f"{name}-reinit", f"{name}-shuffled", "snip"]
    for replicate in (0, 1):
        dense = points_of(made, "ticket", replicate)[0].run
        again = points_of(made, f"{name}-reinit", replicate)
        shuffled = points_of(made, f"{name}-shuffled", replicate)
        for index, point in enumerate(points_of(made, name, replicate)):
            run = point.run
            assert again[index].run == replace(dense, pruning=run.pruning, draw=1)
            for draw in (1, 2):
                (other,) = [n.run for n in shuffled if (n.round, n.draw) == (index + 1, draw)]
                start = run.start
                if start.is_operated:
                    start = replace(start, kind="final")
                assert other == replace(
                    run, start=start, pruning=replace(run.pruning, shuffle=draw)
                )
    bare = comparison([name, "snip"])
    assert [n.run for n in points_of(bare, name)] == [n.run for n in points_of(made, name)]


def test_controls_of_the_comparison_are_not_those_of_trained_methods():
    compare = {"methods": ["imp", "snip"], "densities": [0.5], "controls": {"reinit": 1}}
    made = comparison(["imp"], compare=compare)
    assert made.arm_names == ["ticket", "imp", "snip", "snip-reinit"]


def test_a_comparison_trains_what_is_in_between_and_its_controls(tmp_path):
    imp = {"name": "imp", "rate": 0.3, "controls": {"reinit": 1, "shuffled": 1}}
    pruned = {"name": "mlprune", "fine_tune": "10it", "controls": {"reinit": 1, "shuffled": 1}}
    compare = {"methods": [imp, pruned], "densities": [0.4, 0.2]}
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump({**WRITTEN, "compare": compare}))
    only = wn.run(str(path), store=tmp_path / "runs", jobs=1, only=["imp-reinit"])
    assert {row.arm for row in only.results.rows} == {"ticket", "imp", "imp-reinit"}
    outcome = wn.run(str(path), store=tmp_path / "runs", jobs=1)
    assert [row.round for row in outcome.results.rows if row.arm == "imp"] == [1, 2]
    assert all(row.status == "done" for row in outcome.results.rows)
    recipe = load_recipe(str(path))
    plan, store = expand("rates", recipe, find_source(recipe.data.name)), Store(tmp_path / "runs")
    text = "\n".join(describe_plan(plan, store, 1, None, runs=True))
    assert f"{len(plan.runs)} runs done, 0 missing" in text
    assert all(run.folder in text for run in plan.runs.values())
    found = {run.id: store.find(run).state("final") for run in plan.runs.values()}
    masks = {n.run.id: found[n.run.id].mask for n in with_between(plan.nodes) if n.round}
    chain = [n for n in with_between(plan.nodes) if n.arm == "imp"]
    for before, after in itertools.pairwise(chain):
        one, other = masks[before.run.id], masks[after.run.id]
        assert all(not bool((other[name] & ~one[name]).any()) for name in one)
        assert other.kept == after.run.keep < one.kept
    for name in ("imp", "mlprune"):
        for point in points_of(plan, name):
            mask = masks[point.run.id]
            (again,) = [n for n in points_of(plan, f"{name}-reinit") if n.round == point.round]
            assert all(torch.equal(mask[n], masks[again.run.id][n]) for n in mask)
            assert again.run.begin == 0
            assert not torch.equal(
                initial_network(again.run).get_parameter("output.weight"),
                initial_network(point.run).get_parameter("output.weight"),
            )
            (other,) = [n for n in points_of(plan, f"{name}-shuffled") if n.round == point.round]
            theirs = masks[other.run.id]
            assert {n: int(m.sum()) for n, m in mask.items()} == {
                n: int(m.sum()) for n, m in theirs.items()
            }
            assert any(not torch.equal(mask[n], theirs[n]) for n in mask)
