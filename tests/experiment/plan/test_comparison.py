"""Comparisons: their graph of runs, what each method is given, and bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from sample_plans import (
    ALL,
    AT_INIT,
    DYNAMIC,
    EPOCH,
    SEARCHES,
    comparison,
    comparison_recipe,
    points_of,
)

from winnow.algorithms.catalogue import METHODS
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe, load_recipe
from winnow.experiment.runs import Start
from winnow.experiment.store.images import Source


@pytest.fixture(scope="module")
def every():
    return comparison(METHODS)


def test_each_method_has_a_point_for_each_density_and_replicate(every):
    assert every.arm_names == ["ticket", *METHODS]
    assert len(every.nodes) == 2 * (1 + 2 * len(METHODS))
    for arm in METHODS:
        for replicate in (0, 1):
            found = points_of(every, arm, replicate)
            assert [n.weights_kept for n in found] == [790, 158]
            assert [n.density for n in found] == [0.5, 0.1]
    # The first round of IMP is one-shot pruning.
    assert len(every.runs) == len(every.nodes) - 2


def test_all_share_network_order_budget_and_evaluation(every):
    dense = points_of(every, "ticket", 1)[0].run
    bare = {"pruning": None, "dynamic": None, "start": Start("init")}
    for arm in METHODS:
        for node in points_of(every, arm, 1):
            begun = {"begin": 0, "end": dense.steps}
            assert node.run.end - node.run.begin == dense.steps
            if arm in SEARCHES:  # scores train by the method's own optimizer
                trained = {"optimizer": dense.optimizer, "schedule": dense.schedule}
                begun |= {"search": None, "model": dense.model, **trained}
            assert replace(node.run, **bare, **begun) == dense


def test_what_each_kind_starts_from(every):
    dense = points_of(every, "ticket")[0].run
    for arm in AT_INIT:
        for node in points_of(every, arm):
            assert node.run.parents == ()
            assert node.run.pruning.rounds == (100 if arm == "synflow" else 1)
    for arm, kind in (("obd", "final"), ("mlprune", "operated")):
        for node in points_of(every, arm):
            assert node.run.pruning.of == dense.id
            assert node.run.start == Start(kind, dense.id)
            assert (node.run.begin, node.run.end) == (96, 192)
    first, second = points_of(every, "imp")
    assert (first.run.parents, second.run.parents) == ((dense.id,), (first.run.id,))
    assert [n.run.parents for n in points_of(every, "one-shot")] == [(dense.id,)] * 2
    for arm in DYNAMIC:
        for node in points_of(every, arm):
            assert node.run.parents == ()
            assert node.run.pruning is None
            assert node.run.dynamic.name == arm
            assert round(node.run.dynamic.options["density"] * ALL) == node.weights_kept


def test_one_line_changes_the_method_and_the_rest_stays():
    one, other = comparison(["rigl"]), comparison(["snip"])
    assert points_of(one, "ticket")[0].run == points_of(other, "ticket")[0].run


def test_every_option_is_in_the_identity():
    base = comparison(["rigl", "snip", "synflow", "mlprune", "imp"], [0.2])
    for name, option, value in (
        ("rigl", "drop", 0.5),
        ("snip", "per_class", 5),
        ("snip", "rounds", 3),
        ("synflow", "rounds", 3),
        ("mlprune", "rounds", 3),
        ("mlprune", "shared", False),
        ("imp", "criterion", "obd"),
        ("imp", "rewind", "lr"),
    ):
        changed = comparison([{"name": name, option: value}], [0.2])
        assert points_of(changed, name)[0].run != points_of(base, name)[0].run


def test_layers_left_dense_count_in_the_density():
    made = comparison([{"name": "set", "ignore": "output"}, {"name": "snip", "ignore": ["output"]}])
    for arm in ("set", "snip"):
        for node, density in zip(points_of(made, arm), (0.5, 0.1), strict=True):
            assert node.weights_kept == round(density * ALL)
            assert node.run.keep == round(density * ALL) - 100
            assert node.run.prunable == ("hidden.0.weight", "hidden.1.weight")


def test_a_step_to_rewind_to_is_recorded_and_used():
    made = comparison(["imp", "one-shot"], prune={"rewind": "1ep"})
    assert points_of(made, "ticket")[0].record.states == {EPOCH}
    for node in [*points_of(made, "imp"), *points_of(made, "one-shot")]:
        assert (node.run.start.kind, node.run.start.step, node.run.begin) == ("state", EPOCH, EPOCH)


def test_only_some_methods_and_all_they_need():
    made = comparison(["random", "imp", "rigl"]).only(["imp"])
    assert made.arm_names == ["ticket", "imp"]


def test_the_dumped_recipe_loads_to_an_equal_one():
    made = comparison_recipe(["random", {"name": "rigl", "drop": 0.2, "label": "rigl-slow"}])
    assert check_recipe(made.dump(), "dumped") == made
    assert made.compare.methods[1].arm_name == "rigl-slow"
    assert "compare" not in load_recipe("lth/digits").dump()


@pytest.mark.parametrize(
    ("methods", "changes", "said"),
    [
        (["rgl"], {}, "unknown method 'rgl'. Did you mean 'rigl'"),
        (["snip", "snip"], {}, "snip stands twice in methods: give one a label"),
        ([{"name": "snip", "label": "dense"}], {}, "'dense' is taken"),
        ([{"name": "snip", "per_clas": 1}], {}, "Did you mean 'per_class'|per_clas"),
        ([{"name": "rigl", "dorp": 1}], {}, "Did you mean 'drop'"),
        ([{"name": "rigl", "drop": 2}], {}, "rigl: drop is 2"),
        ([{"name": "rigl", "density": 0.1}], {}, "compare.densities"),
        ([{"name": "rigl", "every": "0it"}], {}, "every"),
        ([{"name": "magnitude", "per_class": 1}], {}, "magnitude sees no examples"),
        ([{"name": "snip", "per_class": 0}], {}, "per_class of snip is 0"),
        ([{"name": "snip", "seed": 0}], {}, "unknown option"),
        ([{"name": "random", "seed": 0}], {}, "seeds stand in seeds.mask"),
        ([{"name": "synflow", "rounds": 0}], {}, "rounds of synflow is 0"),
        ([{"name": "imp", "rewind": "96it"}], {}, "rewind of imp is 96it, iteration 96, but"),
        ([{"name": "set", "ignore": "hidden.0.weight"}], {}, "reachable are 0.81"),
        ([{"name": "set", "ignore": "nowhere"}], {}, "ignore of set: "),
        (["snfs"], {"train": {"optimizer": {"name": "sgd", "lr": 0.1}}}, "sgd has none"),
        (["snfs"], {"engine": "sparse"}, "dense gradients"),
        (["obd"], {"train": {"schedule": "cosine"}}, "rewind: lr"),
        (["obd"], {"prune": {"rounds": 3}}, "compare goes with"),
        (["obd"], {"controls": {"reinit": 1}}, "without controls"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(methods, changes, said):
    if "train" in changes:
        base = {"steps": "96it", "batch": 50, "optimizer": {"name": "momentum", "lr": 0.1}}
        changes = {"train": base | changes["train"]}
    with pytest.raises(UserError, match=said):
        comparison(methods, **changes)


def test_a_density_that_leaves_dsr_an_empty_layer_is_refused():
    with pytest.raises(UserError, match=r"dsr: density 0\.003 .* reachable"):
        comparison(["dsr"], [0.003])
    with pytest.raises(UserError, match="keeps 0 of 1580 weights"):
        comparison(["snip"], [0.0001])


@pytest.mark.parametrize(
    ("name", "source", "trained", "weights"),
    [
        ("compare/mnist", Source(60_000, "mnist"), 10_000, 266_200),
        ("compare/cifar10", Source(50_000, "cifar"), 5_000, 67_992),
    ],
)
def test_comparisons_on_parts_of_larger_data(name, source, trained, weights):
    """Every method at every density, on as many examples, weights and iterations as the others."""
    loaded = load_recipe(name)
    made = expand(name, loaded, source)
    densities = sorted(loaded.compare.densities, reverse=True)
    epoch = math.ceil(trained / loaded.train.batch)
    steps = epoch * int(loaded.train.steps.removesuffix("ep"))
    for replicate in range(loaded.replicates):
        (dense,) = points_of(made, "ticket", replicate)
        assert (dense.weights_kept, dense.run.steps) == (weights, steps)
        for arm in (*AT_INIT, "obd", "mlprune", "imp", "one-shot", *DYNAMIC):
            found = points_of(made, arm, replicate)
            assert [n.weights_kept for n in found] == [round(d * weights) for d in densities]
            assert all(n.run.data == replace(dense.run.data, train=trained) for n in found)
            assert all(n.run.end - n.run.begin == steps for n in found)
