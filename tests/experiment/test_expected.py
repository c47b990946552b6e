"""An experiment as data: what the plan writes is what the report reads."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from winnow.experiment.arms import CONTROLS, OF_ROUNDS, Arm
from winnow.experiment.expected import Experiment, read_experiment, write_experiment
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source

SOURCE = Source(1437, "c")


@pytest.fixture(scope="module")
def plan():
    overrides = ["controls.random-reinit=1", "prune.rounds=2", "train.accuracy_at=[20it]"]
    return expand("lth/digits", load_recipe("lth/digits", overrides, 2), SOURCE)


def test_what_is_written_is_read(plan, tmp_path):
    experiment = plan.experiment()
    path = write_experiment(experiment, tmp_path)
    assert path.name == "experiment.json"
    assert read_experiment(path) == experiment
    assert read_experiment(path).hash == experiment.hash
    assert write_experiment(plan.experiment(), tmp_path) == path


def test_it_holds_every_run_and_point_of_the_plan(plan):
    experiment = plan.experiment()
    assert [run.id for run in experiment.runs] == list(plan.runs)
    assert [(p.arm, p.replicate, p.draw, p.round, p.run) for p in experiment.points] == [
        (n.arm, n.replicate, n.draw, n.round, n.run.id) for n in plan.nodes
    ]
    seen: set[str] = set()
    for run in experiment.runs:
        assert seen.issuperset(run.parents), "parents come first"
        seen.add(run.id)
    assert {20} == set().union(*(run.record.accuracy_at for run in experiment.runs))


def test_other_overrides_are_another_file(plan, tmp_path):
    other = expand("lth/digits", load_recipe("lth/digits", ["prune.rounds=1"], 2), SOURCE)
    paths = {write_experiment(one.experiment(), tmp_path) for one in (plan, other)}
    assert len(paths) == 2


def test_a_file_of_another_format_is_refused(plan):
    plain = json.loads(json.dumps(plan.experiment().dump()))
    with pytest.raises(ValueError, match="format is 2"):
        Experiment.load(plain | {"format": 2})


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [("points", "arm", "zeta"), ("points", "run", "f" * 64), ("runs", "parents", ["f" * 64])],
)
def test_what_it_names_must_be_in_it(plan, part, field, value):
    plain = json.loads(json.dumps(plan.experiment().dump()))
    plain[part][-1][field] = value
    with pytest.raises(ValueError, match="does not say what that is"):
        Experiment.load(plain)


def test_every_control_says_what_it_checks(plan):
    for arm in (*OF_ROUNDS, *plan.arms):
        assert arm.is_control == (arm.kind in CONTROLS) == (arm.of is not None)
    assert Arm("random-reinit", "random-reinit", of="ticket") in plan.arms


def test_arms_of_a_comparison_say_what_they_derive_from():
    methods = "[random, snip, {name: jackpot, fine_tune: 10it, label: found}]"
    overrides = [f"compare.methods={methods}", "compare.controls.shuffled=1"]
    arms = {a.name: a for a in expand("x", load_recipe("compare/digits", overrides), SOURCE).arms}
    assert arms["snip-shuffled"] == Arm("snip-shuffled", "shuffled", "snip", "snip")
    tuned = Arm("found-fine-tuned", "mask search", "found", "jackpot", arms["found"].panel)
    assert arms["found-fine-tuned"] == tuned
    assert arms["found"].panel == "Masks that are searched"
    assert not arms["found-fine-tuned"].is_control
    assert "random-shuffled" not in arms


def test_the_bounds_of_a_comparison_are_its_methods_own_arms():
    overrides = ["compare.methods=[random, imp, snip, {name: random, label: again}]"]
    overrides.append("compare.controls.reinit=1")
    plan = expand("x", load_recipe("compare/digits", overrides), SOURCE)
    bounds = {arm.name: arm.bound for arm in plan.arms if arm.bound}
    assert bounds == {"random": "least", "imp": "most", "again": "least"}


def test_the_hash_does_not_depend_on_the_order_of_keys(plan):
    experiment = plan.experiment()
    turned = dict(reversed(list(experiment.recipe.items())))
    assert list(turned) != list(experiment.recipe)
    assert replace(experiment, recipe=turned).hash == experiment.hash
