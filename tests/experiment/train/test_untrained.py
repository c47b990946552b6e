"""Networks that are evaluated as they were pruned, without a step of training."""

from __future__ import annotations

import pytest
import torch
import yaml

import winnow as wn
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.job import make_job, make_network
from winnow.pruning import prune_to
from winnow.scoring import score

pytestmark = pytest.mark.usefixtures("own_cache")

RECIPE = {
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [20, 12]},
    "train": {
        "steps": "60it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "evaluate": "20it",
    },
    "replicates": 2,
}
PRUNED = {"name": "one-shot", "rewind": "none", "fine_tune": "0it"}
METHODS = [
    PRUNED,
    PRUNED | {"rewind": "lr", "label": "lr"},
    PRUNED | {"train": "20it", "label": "20"},
]


def ran(tmp_path, engine, **parts):
    """The outcome of a recipe, its plan and the stored runs."""
    path = tmp_path / "untrained.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "engine": engine, **parts}))
    outcome = wn.run(str(path), store=tmp_path / "runs", jobs=1)
    recipe = load_recipe(str(path))
    plan, store = (
        expand("untrained", recipe, find_source(recipe.data.name)),
        Store(tmp_path / "runs"),
    )
    return outcome, plan, {run.id: store.find(run) for run in plan.runs.values()}


@pytest.mark.parametrize("engine", ["dense", "sparse", "stacked"])
def test_they_are_the_parents_largest_weights_and_nothing_else(tmp_path, engine):
    compare = {"methods": METHODS, "densities": [0.5, 0.1]}
    outcome, plan, found = ran(tmp_path, engine, compare=compare)
    rows = {row.run: row for row in outcome.results.rows}
    pruned = [n.run for n in plan.nodes if n.round]
    assert len(pruned) == 12
    for run in pruned:
        assert run.begin == run.end
        (of,) = run.parents
        at = "final" if run.pruning.step is None else "step-20"
        parent, state = found[of].state(at), found[run.id].state("final")
        model = make_network(run)
        model.load_state_dict(parent.weights)
        mask = prune_to(score(model, "magnitude"), run.keep)
        for name, weight in parent.weights.items():
            kept = weight * mask[name] if name in mask else weight
            assert torch.equal(state.weights[name], kept), name
        model.load_state_dict(state.weights)
        test = make_job(run).data.splits["test"]
        job = make_job(run)
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (job.data.mean, job.data.std))
        with torch.no_grad():
            right = model((test.images - mean) / std).argmax(1) == test.labels
        row = rows[run.folder]
        assert row.iterations == 0
        assert row.final_test_accuracy == pytest.approx(right.double().mean().item(), abs=0.003)
        assert row.stop_test_accuracy == row.final_test_accuracy


def test_pruning_at_iteration_0_once_is_the_largest_initial_weights(tmp_path):
    prune = {"algorithm": "one-shot", "train": "0it", "densities": [0.2], "scope": "global"}
    _, plan, found = ran(tmp_path, "dense", prune=prune, replicates=1)
    (run,) = [n.run for n in plan.nodes if n.round]
    (of,) = run.parents
    first = found[of].state("step-0")
    model = make_network(run)
    model.load_state_dict(first.weights)
    mask = prune_to(
        score(model, "magnitude"),
        run.keep,
    )
    assert all(torch.equal(mask[n], found[run.id].state("final").mask[n]) for n in mask)
    assert (run.begin, run.end) == (0, 60)
