"""More is recorded of finished runs: nothing is trained twice that stored states suffice for, and
all numbers are those of a run that recorded them from the beginning."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
import yaml
from adding_runs import (
    LENGTH,
    ROUNDS,
    bits,
    changed,
    contents,
    count_trained,
    executed,
    folders,
    plan_of,
    states,
)
from inline_pool import InlinePool
from typer.testing import CliRunner

from winnow.cli.app import app
from winnow.cli.describe.plan import describe_plan
from winnow.cli.progress import tally_of
from winnow.experiment.store.store import Store
from winnow.experiment.train import executor, tasks
from winnow.experiment.train.estimate import seconds_left
from winnow.experiment.train.status import plan_status

pytestmark = pytest.mark.usefixtures("own_cache", "no_fsync")


@pytest.fixture
def trained(monkeypatch):
    return count_trained(monkeypatch)


ADDED = {
    "accuracy_at": ({"train": {"accuracy_at": ["15it", "40it"]}}, 40),
    "at the end": ({"train": {"accuracy_at": ["60it"]}}, 0),
    "validation_at": ({"train": {"validation_at": ["20it", "60it"]}}, 0),
    "between": ({"train": {"validation_at": ["30it"]}}, 30),
    "test_curve": ({"train": {"test_curve": True}}, 40),
    "measure": ({"train": {"measure": "all"}}, None),
}


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_is_what_was_recorded_from_the_beginning(name, tmp_path, trained):
    changes, iterations = ADDED[name]
    fewer = {"train": {"measure": 100}} if name == "measure" else {}
    few, more = plan_of(**fewer), plan_of(**changes)
    assert few.runs.keys() == more.runs.keys()
    store = executed(few, tmp_path / "added")
    before, files = folders(store), contents(store)
    trained.clear()
    executed(more, tmp_path / "added")
    assert folders(store) == before
    assert all(contents(store)[path] == data for path, data in files.items())
    if iterations is not None:
        assert set(trained.values()) <= {iterations}
        assert sum(trained.values()) == iterations * ROUNDS
    whole = executed(more, tmp_path / "whole")
    there, fresh = bits(store, more), bits(whole, more)
    if name == "measure":  # the sample stays beside it
        there = {i: (without_sample(n), s) for i, (n, s) in there.items()}
    assert there == fresh
    trained.clear()
    executed(more, tmp_path / "added")
    assert not trained


def without_sample(text):
    plain = json.loads(text)
    for part in ("stop", "final", "stop_loss", "final_loss"):
        del plain[part]["train_sample"]
    return json.dumps(plain, sort_keys=True)


def test_a_state_is_made_from_the_nearest_one_before(tmp_path, trained):
    """Rewinding to 25 trains the dense run from its stored state at 20, not from its beginning."""
    first, second = (plan_of(prune={"rewind": f"{k}it"}) for k in (20, 25))
    dense = next(iter(first.runs))
    store = executed(first, tmp_path / "both")
    trained.clear()
    executed(second, tmp_path / "both")
    assert trained[dense] == 5
    assert sum(trained.values()) == 5 + 2 * (LENGTH - 25)
    assert bits(store, second) == bits(executed(second, tmp_path / "second"), second)
    assert not [name for name in folders(store) if name.endswith(".2")]


OVERLAPPING = (
    {"prune": {"rewind": "20it"}},
    {"controls": {"one-shot": [0.3], "reinit": 1}, "train": {"accuracy_at": ["45it"]}},
    {"prune": {"rewind": "25it", "train": "50it"}, "train": {"test_curve": True}},
    {"prune": {"rewind": "none", "fine_tune": "30it"}, "train": {"validation_at": ["50it"]}},
)


@pytest.mark.parametrize(
    "order",
    [
        *itertools.permutations(range(2)),
        *(pytest.param(o, marks=pytest.mark.slow) for o in ((3, 1, 2, 0), (0, 1, 2, 3))),
    ],
)
def test_overlapping_recipes_train_each_run_once(order, tmp_path, trained):
    plans = [plan_of(**OVERLAPPING[number]) for number in order]
    runs = {i: run for plan in plans for i, run in plan.runs.items()}
    seen: set[str] = set()
    for plan in plans:
        trained.clear()
        store = executed(plan, tmp_path / "runs")
        for identity, run in plan.runs.items():
            length, count = run.end - run.begin, trained.get(identity, 0)
            assert count < length if identity in seen else count == length
        seen |= plan.runs.keys()
    assert folders(store) == sorted(run.folder for run in runs.values())
    for number, plan in zip(order, plans, strict=True):
        fresh = executed(plan, tmp_path / f"fresh-{number}")
        for identity, (_, kept) in bits(fresh, plan).items():
            assert states(store.find(runs[identity]), plan.records[identity]) == kept
            found, alone = (s.find(runs[identity]).result for s in (store, fresh))
            for name in ("accuracy_at", "validation_at", "stop", "final"):
                assert getattr(alone, name).items() <= getattr(found, name).items()
            for name, values in alone.curve.items():
                assert not values or found.curve[name] == values


KINDS = {
    "dynamic": {"compare": {"methods": ["rigl", "gradual", "snip"], "densities": [0.3]}},
    "by momentum": {"compare": {"methods": ["snfs", "deep-r"], "densities": [0.3]}},
    "searches": {"compare": {"methods": ["edge-popup", "supermask"], "densities": [0.3]}},
    "sparse": {"engine": "sparse"},
    "sparse, dynamic": {
        "compare": {"methods": ["rigl", "gradual"], "densities": [0.3]},
        "engine": "sparse",
    },
    "stacked": {"engine": "stacked", "replicates": 2},
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[pytest.mark.slow] if "sparse" in k else []) for k in KINDS],
)
def test_masks_that_change_searches_and_engines(kind, tmp_path, trained):
    """From stored states at 20 where they can go on: those of a search have no scores."""
    changes = KINDS[kind]
    if "compare" in changes:
        changes = {"prune": None, **changes}
    first = plan_of(**changes, train={"validation_at": ["20it"]})
    for identity, record in first.records.items():
        first.records[identity] = replace(record, states=record.states | {20})
    more = plan_of(**changes, train={"accuracy_at": ["25it", "60it"], "measure": "all"})
    for identity, record in more.records.items():
        more.records[identity] = replace(record, states=record.states | {35})
    assert first.runs.keys() == more.runs.keys()
    store = executed(first, tmp_path / "added")
    before = folders(store)
    trained.clear()
    executed(more, tmp_path / "added")
    assert folders(store) == before
    for identity, count in trained.items():
        is_search = more.runs[identity].search is not None
        assert count <= (LENGTH if is_search else LENGTH - 20)
    both = plan_of(
        **changes,
        train={"accuracy_at": ["25it", "60it"], "measure": "all", "validation_at": ["20it"]},
    )
    for identity, record in both.records.items():
        both.records[identity] = replace(record, states=record.states | {20, 35})
    whole = executed(both, tmp_path / "whole")
    assert bits(store, both) == bits(whole, both)


def test_an_addition_keeps_where_it_ended_for_the_next(tmp_path, trained):
    executed(plan_of(), tmp_path / "runs")
    for steps, iterations in ((["35it"], 35), (["45it"], 10), (["35it", "50it"], 5)):
        trained.clear()
        executed(plan_of(train={"accuracy_at": steps}), tmp_path / "runs")
        assert sum(trained.values()) == iterations * ROUNDS


def test_what_trained_a_run_goes_on_with_it(tmp_path, trained, monkeypatch):
    """Whatever ``engine: auto`` would choose today."""
    few, more = (plan_of(engine="auto", train={"accuracy_at": at}) for at in ([], ["25it"]))
    store = executed(few, tmp_path / "runs")
    whole = executed(more, tmp_path / "whole")
    monkeypatch.setattr(tasks, "choose_engine", None)
    trained.clear()
    executed(more, tmp_path / "runs")
    assert trained == dict.fromkeys(more.runs, 25)
    assert bits(store, more) == bits(whole, more)


def test_a_plan_counts_what_is_trained_again(tmp_path):
    """Not the whole runs: neither in words nor in the time that is left."""
    few, more = plan_of(), plan_of(train={"accuracy_at": ["15it"]})
    store = executed(few, tmp_path / "runs")
    found = plan_status(more, store)
    assert set(found.runs.values()) == {"missing"}
    assert found.again == dict.fromkeys(more.runs, 15)
    each = dict.fromkeys(more.runs, 1.0)
    left = seconds_left(more, found.runs, each, 1, found.again)
    assert left == pytest.approx(15 * ROUNDS, rel=1e-2)
    assert tally_of(more, store).todo == 15 * ROUNDS
    said = "\n".join(describe_plan(more, store, 1, None))
    assert "of the missing, 3 finished runs only record more: 45 iterations again" in said


@pytest.mark.slow
def test_recipes_of_one_command_are_recorded_together(tmp_path, trained, monkeypatch):
    """Each run is trained once, to its end, whatever the others want of it."""
    monkeypatch.setattr(executor, "LocalPool", lambda path, *_: InlinePool(Store(path), []))
    recipes = []
    for number, changes in enumerate(OVERLAPPING):
        path = tmp_path / f"r{number}.yaml"
        path.write_text(yaml.safe_dump({"title": "t", "source": "s", **changed(**changes)}))
        recipes.append(str(path))
    store = Store(tmp_path / "runs")
    main = CliRunner().invoke(app, ["run", *recipes, "--store", str(store.path), "--quiet"])
    assert main.exit_code == 0, main.output
    runs = {found.run.id: found.run for found in store.all()}
    assert trained == {i: run.end - run.begin for i, run in runs.items()}
    assert len(runs) == len(folders(store))
    assert not list(store.path.glob("runs/*/added-*"))
    assert len(list((store.path / "reports").glob("*/index.html"))) == len(recipes)


def test_finer_evaluation_is_another_run_that_is_trained_once(tmp_path, trained):
    """Its stop may be another one, and so no number of it can be read from the coarser one."""
    coarse, fine = plan_of(), plan_of(train={"evaluate": "10it"})
    assert not coarse.runs.keys() & fine.runs.keys()
    store = executed(coarse, tmp_path / "both")
    trained.clear()
    executed(fine, tmp_path / "both")
    assert trained == dict.fromkeys(fine.runs, LENGTH)
    assert bits(store, fine) == bits(executed(fine, tmp_path / "fine"), fine)
    assert bits(store, coarse) == bits(executed(coarse, tmp_path / "coarse"), coarse)
