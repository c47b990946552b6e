"""Analyses as nodes: planned, made once by workers, stored whole, resumed, never repeated."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from inline_pool import InlinePool
from sample_plans import SMALL

from winnow.errors import UserError
from winnow.experiment.analyses import Analysed, Analysis, SeenData
from winnow.experiment.expected import Experiment
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.analyses import find_analysis
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Settings, execute
from winnow.report import read_results

DENSITIES = {"name": "layer_densities", "arms": ["ticket"]}


def planned(*analyses, **changes):
    train = {**SMALL["train"], "steps": "20it", "evaluate": "10it"}
    recipe = check_recipe({**SMALL, "train": train, "engine": "dense", "replicates": 1,
                           "prune": {"rounds": 2, "rate": 0.5}, "analyses": list(analyses),
                           **changes}, "small")  # fmt: skip
    return expand("small", recipe, find_source("digits"))


def run(plan, store):
    tasks = []
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, tasks))
    return tasks


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


def test_an_analysis_is_made_once_after_its_run(store):
    plan = planned(DENSITIES)
    tasks = run(plan, store)
    made = [task.analysis.id for task in tasks if task.analysis]
    assert made == [point.node.id for point in plan.analyses]
    assert len(made) == 3  # tickets begin at the dense network
    assert run(plan, store) == []
    again = planned(DENSITIES, {**DENSITIES, "label": "same"})
    assert run(again, store) == []  # the same computation under another name


def test_analyses_that_are_made_are_told(store):
    plan, heard = planned(DENSITIES), []
    execute(plan, store, Settings(1), heard.append, pool=lambda _: InlinePool(store, []))
    made = [event.run for event in heard if event.kind == "made"]
    assert sorted(made) == sorted(point.node.id for point in plan.analyses)
    assert heard[-1].kind == "made"


def test_rows_are_those_of_the_masks(store):
    plan = planned(DENSITIES)
    run(plan, store)
    results = read_results(plan.experiment(), store)
    dense, first, _ = results.findings
    assert (dense.arm, dense.round, dense.whole["density"]) == ("dense", 0, 1.0)
    assert (first.key, first.arm, first.round) == ("layer_densities", "ticket", 1)
    for found in results.findings:
        point = next(n for n in plan.nodes if n.round == found.round)
        assert found.whole["kept"] == point.weights_kept
        layers = [row for row in found.rows if "layer" in row]
        assert sum(row["kept"] for row in layers) == point.weights_kept


def test_what_is_lost_or_damaged_is_made_again_and_nothing_else(store):
    plan = planned(DENSITIES)
    run(plan, store)
    _, first, second = (store.path / "analyses" / p.node.folder for p in plan.analyses)
    before = (second / "analysis.json").read_bytes()
    text = (first / "analysis.json").read_text()
    (first / "analysis.json").write_text(text.replace('"kept": ', '"kept": 1', 1))
    tasks = run(plan, store)
    assert [task.analysis.folder for task in tasks if task.analysis] == [first.name]
    assert not any(task.orders for task in tasks)
    assert (first / "analysis.json").read_text() == text
    assert (second / "analysis.json").read_bytes() == before
    assert len(list((store.path / "damaged").iterdir())) == 1


def test_a_damaged_run_is_trained_again_for_its_analysis(store):
    plan = planned()
    run(plan, store)
    asked = planned(DENSITIES)
    last = asked.analyses[-1].node.parents[0]
    folder = store.path / "runs" / asked.runs[last].folder
    (folder / "final.safetensors").write_bytes(b"broken")
    tasks = run(asked, store)
    assert [order.run.id for task in tasks for order in task.orders] == [last]
    assert all(find_analysis(store, p.node.folder, p.node.id) for p in asked.analyses)


def test_an_analysis_of_a_run_that_diverged_is_not_made(store):
    plan = planned(DENSITIES, train={**SMALL["train"], "steps": "20it",
                                     "optimizer": {"name": "sgd", "lr": 1e30}})  # fmt: skip
    run(plan, store)
    results = read_results(plan.experiment(), store)
    assert results.findings == ()


def test_states_on_the_way_are_recorded_for_it(store):
    plan = planned({**DENSITIES, "at": "10it"})
    subjects = {s.run: s.step for p in plan.analyses for s in p.node.subjects}
    assert set(subjects.values()) == {10}
    assert all(plan.records[identity].states == {10} for identity in subjects)
    run(plan, store)
    assert len(read_results(plan.experiment(), store).findings) == 3


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        ({"name": "layer_density"}, "unknown analysis 'layer_density'"),
        ({**DENSITIES, "arms": ["tickets"]}, "unknown arm 'tickets'"),
        ({**DENSITIES, "options": {"points": 3}}, "unknown option 'points'"),
        ({**DENSITIES, "pairs": True}, "of 1 run"),
        ({**DENSITIES, "against": "dense"}, "of 1 run"),
        ({**DENSITIES, "at": "30it"}, "iteration 30"),
    ],
)
def test_what_does_not_fit_is_named(analysis, words):
    with pytest.raises(UserError, match=words):
        planned(analysis)


def test_one_name_stands_for_one_analysis():
    with pytest.raises(UserError, match="layer_densities stands twice"):
        planned(DENSITIES, DENSITIES)


ANALYSIS = Analysis(
    "overlap", {"a": 1}, (Analysed("r" * 64), Analysed("s" * 64, "step-5")), ("w",),
    SeenData("digits", "c", 200, "standard", "train", 10), 1,
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x"},
        {"options": {"a": 2}},
        {"subjects": (Analysed("r" * 64),)},
        {"subjects": (Analysed("r" * 64), Analysed("s" * 64, "final"))},
        {"prunable": ("v",)},
        {"data": None},
        {"data": replace(ANALYSIS.data, scaling="unit-norm")},
        {"data": replace(ANALYSIS.data, examples=None)},
        {"data": replace(ANALYSIS.data, content="d")},
        {"semantics": 2},
        {"numbers": "float64"},
    ],
)
def test_every_field_shapes_the_identity(changes):
    assert replace(ANALYSIS, **changes).id != ANALYSIS.id


def test_an_analysis_survives_json():
    from dataclasses import asdict

    again = Analysis.load(json.loads(json.dumps(asdict(ANALYSIS))))
    assert (again, again.id) == (ANALYSIS, ANALYSIS.id)


def test_an_experiment_keeps_its_analyses():
    experiment = planned(DENSITIES).experiment()
    assert len(experiment.analyses) == 3
    assert Experiment.load(json.loads(json.dumps(experiment.dump()))) == experiment
    assert "analyses" not in planned().experiment().dump()


def test_only_some_arms_have_only_their_analyses():
    plan = planned({**DENSITIES, "arms": []}, controls={"random": 1})
    assert {point.arm for point in plan.analyses} == {"dense", "ticket", "random"}
    part = plan.only(["ticket"])
    assert {point.arm for point in part.analyses} == {"dense", "ticket"}
