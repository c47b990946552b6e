"""Plans in words: costs of arms, states of runs, the pace and the time that is left."""

from __future__ import annotations

import sys

import pytest

from winnow.cli.describe.plan import describe_plan
from winnow.engine.calibration import Cost
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Result, Store
from winnow.experiment.train.estimate import Pace, pace_of

SMALL = {
    "data": {"name": "digits", "validation": 237},  # 1,200 examples are left: 24 batches of 50
    "model": {"name": "lenet-300-100", "hidden": [20, 10]},
    "train": {"steps": "100it", "batch": 50, "optimizer": {"name": "sgd", "lr": 0.1}},
    "prune": {"rounds": 3, "rate": 0.5},
    "controls": {"reinit": 1, "one-shot": "rounds"},
    "replicates": 1,
    "engine": "dense",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nothing is measured: a step of the dense engine takes 4 ms."""

    def pace(plan, store, *_looks):
        return pace_of(plan, store, lambda _: None, lambda _: Cost(4e-3 / 1.1, 0.0))

    monkeypatch.setattr("winnow.cli.describe.plan.pace_of", pace)


def small(**changes):
    return expand("small", check_recipe(SMALL | changes, "small"), Source(1437, "digits"))


def finish(store, plan, nodes, seconds):
    curve = {"steps": [0], "validation_loss": [1.0], "validation_accuracy": [0.1]}
    curve["test_accuracy"] = []
    result = Result("done", None, curve, 0, True, 1.0, {}, {}, {}, {}, seconds)
    for node in nodes:
        store.write(node.run, plan.records[node.run.id], result, {}, {})


@pytest.fixture
def begun(tmp_path):
    """A plan whose dense run and first ticket are done: 100 iterations in 2 s."""
    plan, store = small(), Store(tmp_path).open()
    finish(store, plan, [n for n in plan.nodes if n.arm == "ticket" and n.round < 2], 2.0)
    return plan, store


def test_arms_come_first_with_their_costs(begun):
    lines = list(describe_plan(*begun, 2, None))
    assert lines[0].split() == ["arm", "runs", "missing", "iterations", "share", "%"]
    assert [line.split() for line in lines[1:4]] == [
        ["ticket", "4", "2", "400", "44.4"],
        ["reinit", "3", "3", "300", "33.3"],
        ["one-shot", "2", "2", "200", "22.2"],  # its round 1 is the ticket's
    ]
    assert lines[4:6] == ["a run that several arms share counts for the first of them", ""]
    assert lines[6:] == [
        "9 runs, 900 iterations; 2 runs done, 7 missing",
        "pace: dense, 20 ms an iteration; from 2 stored runs",
        "time left: about 7 s with --jobs 2",
    ]
    assert list(describe_plan(*begun, 1, None))[-1] == "time left: about 14 s with --jobs 1"


def test_single_runs_are_listed_when_asked_for(begun):
    plan, store = begun
    brief, whole = (list(describe_plan(plan, store, 2, None, runs)) for runs in (False, True))
    head, *rows, blank = whole[6 : 6 + len(plan.nodes) + 2]
    assert whole[:6] + whole[6 + len(plan.nodes) + 2 :] == brief
    assert blank == ""
    columns = "run arm replicate draw round density % total % state"
    assert head.split() == columns.split()
    for node, row in zip(plan.nodes, rows, strict=True):
        done = node.arm != "reinit" and node.round < 2
        told = [node.run.folder, node.arm, "0", str(node.draw), str(node.round)]
        density = f"{100 * node.density:.3f}"
        assert row.split() == [*told, density, density, "done" if done else "missing"]


def test_a_plan_without_its_data_is_estimated_too(tmp_path):
    lines = list(describe_plan(small(), Store(tmp_path), 2, "digits is not here yet"))
    assert lines[-4:] == [
        "9 runs, 900 iterations; 0 runs done, 9 missing",
        "pace: dense, 4 ms an iteration; measured now, on one core, in 0 s",
        "time left: about 2 s with --jobs 2",
        "note: digits is not here yet",
    ]


@pytest.mark.parametrize("engine", ["dense", "auto"])
def test_a_finished_plan_has_no_time_left(tmp_path, monkeypatch, engine):
    monkeypatch.setattr("winnow.cli.describe.plan.pace_of", None)  # nothing is measured
    plan, store = small(engine=engine), Store(tmp_path).open()
    finish(store, plan, plan.nodes, 1.0)
    lines = list(describe_plan(plan, store, 2, None))
    assert lines[-1] == "time left: none, everything is done"
    assert lines[-2].startswith("engine: auto" if engine == "auto" else "9 runs")


def test_what_auto_takes_is_told_and_the_pace_at_both_ends(tmp_path, monkeypatch):
    def pace(plan, _, *_looks):
        sparse = {n.run.id for n in plan.nodes if n.round == 3}
        return Pace(
            {i: 1.234e-5 if i in sparse else 2.0 for i in plan.runs},
            {i: "sparse" if i in sparse else "dense" for i in plan.runs},
            "from somewhere",
            "engine: auto takes what it likes",
        )

    monkeypatch.setattr("winnow.cli.describe.plan.pace_of", pace)
    *_, told, line, left = describe_plan(small(), Store(tmp_path), 1, None)
    ends = "dense, 2,000 ms an iteration at 100 % of the weights; sparse, 0.012 ms at 12.5 %"
    assert told == f"pace: {ends}; from somewhere"
    assert line == "engine: auto takes what it likes"
    assert left == "time left: about 20 min with --jobs 1"  # 6 of 9 runs, 100 iterations, 2 s


def test_one_engine_is_named_once(tmp_path, monkeypatch):
    def pace(plan, _, *_looks):
        seconds = {n.run.id: 1e-3 * n.density for n in plan.nodes}
        return Pace(seconds, dict.fromkeys(plan.runs, "sparse"), "from somewhere", None)

    monkeypatch.setattr("winnow.cli.describe.plan.pace_of", pace)
    lines = list(describe_plan(small(), Store(tmp_path), 1, None))
    ends = "sparse, 1 ms an iteration at 100 % of the weights, 0.13 ms at 12.5 %"
    assert lines[-2] == f"pace: {ends}; from somewhere"


def test_where_the_sparse_engine_is_not_compiled_the_time_is_a_bound(tmp_path):
    *_, pace, note, left = describe_plan(small(engine="sparse"), Store(tmp_path), 2, None)
    assert pace == "pace: dense, 4 ms an iteration; measured now, on one core, in 0 s"
    assert note.startswith("note: the sparse engine is not compiled on this machine yet")
    assert left == "time left: at most 2 s with --jobs 2"


def test_without_the_network_s_package_runs_are_printed_and_no_time(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    data = {"name": "cifar-10", "validation": 5000}
    asked = SMALL | {"data": data, "model": {"name": "squeezenet"}, "prune": {"rounds": 1}}
    plan = expand("vision", check_recipe(asked, "vision"), Source(50_000, "nowhere"))
    *_, counts, pace, left, note = describe_plan(plan, Store(tmp_path), 2, "no images", runs=True)
    assert counts.startswith("3 runs, 300 iterations; 0 runs done")
    assert pace.startswith("pace: not known: squeezenet is a network of torchvision, which is not")
    assert left == "time left: not known"
    assert note == "note: no images"


@pytest.mark.parametrize(("count", "named"), [(1, "a"), (2, "a and b"), (4, "a and 3 other lines")])
def test_lines_without_a_pace_are_named(tmp_path, monkeypatch, count, named):
    monkeypatch.setattr("winnow.cli.describe.plan.why_no_pace", lambda _: "no reason")
    lines = {name: {"train.optimizer.lr": 0.1 + i} for i, name in enumerate("abcd"[:count])}
    recipe = check_recipe(SMALL | {"lines": lines}, "small")
    plan = expand_lines("small", recipe, {"digits": Source(1437, "digits")})
    *_, pace, left = describe_plan(plan, Store(tmp_path), 2, None)
    assert pace == f"{named}: pace: not known: no reason"
    assert left == "time left: not known"
