"""More is recorded of finished runs: nothing is trained twice that stored states suffice for, and
all numbers are those of a run that recorded them from the beginning."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
import torch
from inline_pool import InlinePool

from winnow.data import load_images
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train import again, trainee
from winnow.experiment.train.executor import Settings, execute

pytestmark = pytest.mark.usefixtures("own_cache", "no_fsync")

RECIPE = {
    "data": {"name": "digits", "validation": 237},
    "model": {"name": "lenet-300-100", "hidden": [20, 10]},
    "train": {
        "steps": "60it",
        "batch": 50,
        "optimizer": {"name": "adam", "lr": 0.005},
        "evaluate": "20it",
    },
    "prune": {"rounds": 2, "rate": 0.5},
    "replicates": 1,
    "engine": "dense",
}
LENGTH = 60
ROUNDS = 3  # runs of the recipe: dense and two tickets


def plan_of(**changes):
    recipe = dict(RECIPE)
    for key, value in changes.items():
        recipe[key] = {**recipe.get(key, {}), **value} if isinstance(value, dict) else value
    recipe = {key: value for key, value in recipe.items() if value is not None}
    source = Source(1437, load_images("digits").content)
    return expand_lines("small", check_recipe(recipe, "small"), {"digits": source})


@pytest.fixture
def trained(monkeypatch):
    """The iterations that were trained, by run."""
    counts: dict[str, int] = {}

    def counting(kind):
        advance = kind.advance

        def counted(self, to):
            before = self.session.state().step
            advance(self, to)
            after = self.session.state().step
            counts[self.run.id] = counts.get(self.run.id, 0) + after - before

        monkeypatch.setattr(kind, "advance", counted)

    counting(trainee.Trainee)
    counting(again.Again)
    return counts


def executed(plan, path):
    store = Store(path).open()
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, []))
    return store


def bits(store, plan):
    """All numbers and states of a plan's runs, as they are recorded now."""
    found = {i: store.find(run, plan.records[i]) for i, run in plan.runs.items()}
    return {i: (numbers(one), states(one, plan.records[i])) for i, one in found.items()}


def numbers(found):
    plain = {k: v for k, v in vars(found.result).items() if k not in ("seconds", "files")}
    return json.dumps(plain, sort_keys=True)


def states(found, record):
    """Bytes of the states that are asked for, and of the end."""
    names = ["final", *(f"step-{k}" for k in sorted(record.states))]
    there = [name for name in names if found.has_state(name)]
    return {name: flat(found.state(name)) for name in there}


def flat(state):
    groups = {"weights": state.weights, "buffers": state.buffers, **state.slots, **state.extras}
    groups["mask"] = state.mask or {}
    tensors = {
        f"{group}/{name}": tensor.contiguous().view(torch.uint8).numpy().tobytes()
        for group, values in groups.items()
        for name, tensor in values.items()
    }
    return tensors, state.step, state.updates, dict(state.scalars)


def folders(store):
    return sorted(path.name for path in (store.path / "runs").iterdir())


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


def contents(store):
    return {p: p.read_bytes() for p in (store.path / "runs").rglob("*") if p.is_file()}


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


@pytest.mark.parametrize("order", [*itertools.permutations(range(2)), (3, 1, 2, 0), (0, 1, 2, 3)])
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


@pytest.mark.parametrize("kind", KINDS)
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
