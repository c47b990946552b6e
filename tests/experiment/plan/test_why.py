"""The plan that explains a ticket: its runs are those of the controls that recipes have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.plan.why import draws_of, explaining_plan, rounds_there
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.report.parts.decompose import CELLS
from winnow.report.parts.explained import cell_arm

DIGITS = Source(1437, "content")
LTH = ["prune.rounds=3", "controls.one-shot=none", "engine=dense"]


def whole(name, overrides=(), replicates=2):
    return expand(name, load_recipe(name, overrides, replicates), DIGITS)


def explained(plan, arm="ticket", round_=2, draws=1):
    names = {cell: cell_arm(arm, cell) for cell in CELLS[1:]}
    return explaining_plan(plan, DIGITS, arm, round_, names, draws)


def ids(plan, arm, round_=2):
    return {n.run.id for n in plan.nodes if (n.arm, n.round) == (arm, round_)}


@pytest.mark.parametrize(
    "more",
    [[], ["prune.rewind=20it"], ["prune.scope=global", "prune.rates={}"], ["prune.rewind=lr"]],
)
def test_runs_are_those_of_the_controls(more):
    asked = ["controls.reinit=1", "controls.random=1", "controls.random-reinit=1", *LTH, *more]
    plan = whole("lth/digits", asked)
    found = explained(plan)
    for arm in ("ticket", "reinit", "random", "random-reinit"):
        assert ids(found, arm) == ids(plan, arm)
        assert len(ids(found, arm)) == 2
    assert found.records.keys() <= {*plan.records, *ids(found, "uniform-reinit")}
    for identity in found.runs.keys() & plan.runs.keys():
        assert found.records[identity].covers(plan.records[identity])


def test_only_what_is_needed_is_trained():
    found = explained(whole("lth/digits", LTH))
    assert {node.round for node in found.nodes} == {0, 1, 2}
    assert {node.arm for node in found.nodes if node.round == 1} == {"ticket"}
    known = set()
    for identity, run in found.runs.items():
        assert set(run.parents) <= known  # parents come first
        known.add(identity)


def test_a_uniform_mask_has_the_global_count_alone_and_the_new_weights_of_its_draw():
    found = explained(whole("lth/digits", LTH), draws=3)
    at = {(n.arm, n.replicate, n.draw): n for n in found.nodes if n.round == 2}
    tickets = [n for (arm, _, _), n in at.items() if arm == "ticket"]
    assert len(tickets) == 2
    uniform = {key: n for key, n in at.items() if key[0] == "uniform-reinit"}
    assert len(uniform) == 2 * 3
    for (_, replicate, draw), node in uniform.items():
        ticket = at["ticket", replicate, 0]
        assert node.weights_kept == ticket.weights_kept
        assert node.run.pruning.keep == sum(ticket.run.pruning.keep.values())
        assert node.run.pruning.criterion == "random"
        other = at["random-reinit", replicate, draw].run
        assert (node.run.draw, node.run.seeds) == (other.draw, other.seeds)
        assert replace(node.run, pruning=None) == replace(other, pruning=None)
    assert len({node.run.pruning.seed for node in uniform.values()}) == 2 * 3


def test_draws_are_those_of_the_recipe_or_more():
    recipe = load_recipe("lth/digits", ["controls.reinit=3", "controls.random=1"])
    assert draws_of(recipe, 1) == (3, 1, 1)
    assert draws_of(recipe, 2) == (3, 2, 2)


def test_methods_at_initialisation_have_the_controls_of_comparisons():
    asked = ["compare.methods=[snip, set]", "compare.controls={shuffled: 1, reinit: 1}"]
    plan = whole("compare/digits", asked)
    found = explained(plan, "snip")
    assert ids(found, "snip-reinit") == ids(plan, "snip-reinit")
    assert ids(found, "snip-random") == ids(plan, "snip-shuffled")
    assert [arm.name for arm in found.arms][-5:] == ["snip", *(f"snip-{c}" for c in CELLS[1:])]


@pytest.mark.parametrize(
    ("arm", "round_", "words"),
    [
        ("ticket", 9, r"ticket has no round 9 with a mask. It has 1 \(80 %\), 2"),
        ("ticket", 0, "ticket has no round 0 with a mask"),
        ("reinit", 1, "reinit is a control of ticket: explain that one, --arm ticket"),
        ("tickets", 1, "unknown arm 'tickets'. Did you mean 'ticket'"),
    ],
)
def test_what_cannot_be_explained(arm, round_, words):
    with pytest.raises(UserError, match=words):
        explained(whole("lth/digits", ["controls.reinit=1", *LTH]), arm, round_)


@pytest.mark.parametrize("method", ["set", "edge-popup", "mlprune"])
def test_methods_without_a_mask_before_training_are_refused(method):
    plan = whole("compare/digits", [f"compare.methods=[{method}]"])
    with pytest.raises(UserError, match="has no mask that was there before training"):
        explained(plan, method)


def test_rounds_by_density():
    there = rounds_there(whole("lth/digits", LTH), "ticket")
    assert list(there) == [1, 2, 3]
    assert there[1] == pytest.approx(0.8, abs=0.01)
