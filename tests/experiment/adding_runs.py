"""Recipes that want different records of the same runs, and what is trained for them."""

from __future__ import annotations

import json

import torch
from inline_pool import InlinePool

from winnow.data import load_images
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train import again, trainee
from winnow.experiment.train.executor import Settings, execute

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


def changed(**changes):
    """The recipe with sections changed; None leaves one out."""
    recipe = dict(RECIPE)
    for key, value in changes.items():
        recipe[key] = {**recipe.get(key, {}), **value} if isinstance(value, dict) else value
    return {key: value for key, value in recipe.items() if value is not None}


def plan_of(**changes):
    """The plan of the recipe with sections changed."""
    recipe = changed(**changes)
    source = Source(1437, load_images("digits").content)
    return expand_lines("small", check_recipe(recipe, "small"), {"digits": source})


def count_trained(monkeypatch):
    """The iterations that are trained from now on, by run."""
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


def executed(plan, path, checkpoint=60.0):
    store = Store(path).open()
    execute(plan, store, Settings(1, checkpoint), pool=lambda _: InlinePool(store, []))
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


def contents(store):
    return {p: p.read_bytes() for p in (store.path / "runs").rglob("*") if p.is_file()}
