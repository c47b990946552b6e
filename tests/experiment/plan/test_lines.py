"""The plans of lines together: what they share, what a part of them is, what is said of errors."""

from __future__ import annotations

import pytest
from sample_plans import DIGITS, SMALL

from winnow.errors import UserError
from winnow.experiment.expected import Experiment
from winnow.experiment.plan.lines import expand_lines, part_of
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe, load_recipe
from winnow.experiment.store.images import Source

LINES = {
    "short": {"train.steps": "50it"},
    "rates": {"prune.rates": {"output": 0.1}},
    "reinit": {"controls.reinit": 1},
}


def planned(lines=LINES, **sources):
    recipe = check_recipe({**SMALL, "lines": lines}, "small")
    return expand_lines("small", recipe, {"digits": DIGITS, **sources})


def test_each_line_is_planned_as_by_itself():
    lines = planned()
    for plan, (name, recipe) in zip(lines.plans, lines.recipe.by_line().items(), strict=True):
        alone = expand("small", recipe, DIGITS)
        assert plan.line == name
        assert list(plan.runs) == list(alone.runs)
        assert {node.line for node in plan.nodes} == {name}


def test_lines_share_what_is_the_same_run():
    lines = planned()
    short, rates, reinit = (set(plan.runs) for plan in lines.plans)
    assert not short & rates
    assert len(rates & reinit) == 2  # the dense runs of both replicates
    assert set(lines.runs) == short | rates | reinit
    assert len(lines.nodes) == sum(len(plan.nodes) for plan in lines.plans)
    order = list(lines.runs)
    for identity, run in lines.runs.items():
        assert all(order.index(parent) < order.index(identity) for parent in run.parents)


def test_what_any_line_wants_recorded_is_recorded():
    lines = planned({"a": {}, "b": {"train.accuracy_at": ["10it"], "prune.rewind": "20it"}})
    dense = next(iter(lines.plans[0].runs))
    assert lines.records[dense].accuracy_at == {10}
    assert lines.records[dense].states == {20}


def test_an_experiment_keeps_lines():
    experiment = planned().experiment()
    assert {point.line for point in experiment.points} == set(LINES)
    assert [arm.name for arm in experiment.arms] == ["ticket", "reinit"]
    assert Experiment.load(experiment.dump()) == experiment


def test_a_recipe_without_lines_has_one_plan():
    recipe = check_recipe(SMALL, "small")
    alone = expand_lines("small", recipe, {"digits": DIGITS})
    assert alone == expand("small", recipe, DIGITS)
    assert "line" not in alone.experiment().dump()["points"][0]


def test_lines_may_have_other_images():
    cifar = {"data.name": "cifar-10", "model.name": "conv-2", "model.hidden": None}
    lines = planned({"digits": {}, "cifar": cifar}, **{"cifar-10": Source(50_000, "c")})
    names = [{run.data.name for run in plan.runs.values()} for plan in lines.plans]
    assert names == [{"digits"}, {"cifar-10"}]


def test_a_part_has_the_lines_and_arms_that_are_asked_for():
    lines = planned()
    assert [plan.line for plan in part_of(lines, lines=["reinit", "short"]).plans] == [
        "short",
        "reinit",
    ]
    part = part_of(lines, arms=["reinit"])
    assert [plan.line for plan in part.plans] == ["reinit"]
    assert part_of(lines) == lines


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"lines": ["long"]}, "unknown line 'long'. This recipe has short, rates, reinit"),
        ({"lines": "short"}, "give a list"),
        ({"arms": ["random"]}, "unknown arm 'random'. This recipe has ticket, reinit"),
        ({"arms": "ticket"}, "give a list"),
        ({"lines": ["short"], "arms": ["reinit"]}, "unknown arm 'reinit'. This recipe has ticket."),
    ],
)
def test_what_is_not_there_is_named(asked, words):
    with pytest.raises(UserError, match=words):
        part_of(planned(), **asked)


def test_an_error_names_the_line():
    with pytest.raises(UserError, match=r"line long: train\.accuracy_at names iteration 500"):
        planned({"a": {}, "long": {"train.accuracy_at": ["500it"]}})


def test_a_name_stands_for_one_arm_in_all_lines():
    compare = {"methods": [{"name": "random", "label": "mine"}], "densities": [0.5]}
    other = {"methods": [{"name": "snip", "label": "mine"}], "densities": [0.5]}
    changes = {"prune": {}}
    lines = {k: {"compare": c, **changes} for k, c in (("a", compare), ("b", other))}
    with pytest.raises(UserError, match="mine is one arm in some lines"):
        planned(lines)


RECORDED = """
data: {name: digits, validation: 237}
model: {name: lenet-300-100, hidden: [20, 10]}
train: {steps: 100it, batch: 50, optimizer: {name: sgd, lr: 0.1}, accuracy_at: [50it, 100it],
  validation_at: [50it, 100it]}
prune: {rounds: 1}
lines: {a: {}, b: {prune.rate: 0.5}}
scales:
  small: {train.steps: 40it, train.accuracy_at: [20it, 40it], train.validation_at: [20it],
    lines: {b: {train.validation_at: [40it]}}}
  smoke: {train.steps: 10it, train.accuracy_at: [], train.validation_at: []}
"""


def test_scales_say_anew_what_is_recorded_at_which_step(tmp_path):
    file = tmp_path / "recorded.yaml"
    file.write_text(RECORDED)

    def recorded(*changes, scale):
        recipe = load_recipe(str(file), changes, scale=scale)
        plans = expand_lines("recorded", recipe, {"digits": DIGITS}).plans
        return [(n.record.accuracy_at, n.record.validation_at) for n in (p.nodes[0] for p in plans)]

    assert recorded(scale="full") == [({50, 100}, {50, 100})] * 2
    assert recorded(scale="small") == [({20, 40}, {20}), ({20, 40}, {40})]
    assert recorded(scale="smoke") == [(set(), set())] * 2
    assert recorded("train.validation_at=[]", scale="small") == [({20, 40}, set())] * 2
    told = r"line a.*train\.accuracy_at names iteration 50.*others, or \[\] for none"
    with pytest.raises(UserError, match=told):
        recorded("train.steps=40it", "train.validation_at=[]", scale="full")
