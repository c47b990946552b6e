"""Every method, run from a recipe on digits: exact counts, determinism, resume, the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy

import winnow as wn
from winnow.algorithms.catalogue import METHODS
from winnow.algorithms.dynamic.driven import Driven
from winnow.algorithms.in_rounds import prune_in_rounds
from winnow.engine.dense import DenseEngine
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.run_parts import AnyExamples
from winnow.experiment.runs import Record
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.checkpoint import Checkpoints
from winnow.experiment.train.examples import examples
from winnow.experiment.train.job import make_job, make_network
from winnow.experiment.train.start import method_of, starting_state
from winnow.experiment.train.train import train
from winnow.mask import Mask
from winnow.state import load_weights

SMALL = {
    "title": "small",
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [20, 12]},
    "train": {
        "steps": "40it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "evaluate": "10it",
    },
    "compare": {
        "methods": [
            {"name": name, "every": "8it"} if name in ("gradual", "set", "dsr", "snfs", "rigl")
            else {"name": name, "rounds": 5} if name == "synflow"
            else name
            for name in METHODS
        ],
        "densities": [0.3, 0.1],
    },
    "replicates": 1,
    "engine": "dense",
}  # fmt: skip
ALL = 64 * 20 + 20 * 12 + 12 * 10


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "runs"


@pytest.fixture(scope="module")
def outcome(recipe, store):
    return wn.run(recipe, store=store, jobs=2)


def numbers(store: Path):
    found = {p.parent.name: json.loads(p.read_text()) for p in store.glob("runs/[!.]*/result.json")}
    return {name: {k: v for k, v in r.items() if k != "seconds"} for name, r in found.items()}


def test_every_method_runs_and_keeps_exactly_what_it_should(outcome, store):
    found = {one.folder.name: one for one in Store(store).all()}
    for arm in METHODS:
        rows = [row for row in outcome.results.rows if row.arm == arm]
        assert [row.status for row in rows] == ["done", "done"]
        for row, density in zip(rows, (0.3, 0.1), strict=True):
            mask = found[row.run].state("final").mask
            assert mask.kept == row.weights_kept == round(density * ALL)
            weights = found[row.run].state("final").weights
            assert all(bool((weights[name][~keep] == 0).all()) for name, keep in mask.items())


def test_one_job_gives_the_same_numbers(outcome, store, recipe, tmp_path):  # noqa: ARG001
    some = ["grasp", "synflow", "mlprune", "rigl", "deep-r"]
    wn.run(recipe, store=tmp_path / "runs", jobs=1, only=some)
    again, whole = numbers(tmp_path / "runs"), numbers(store)
    assert len(again) == 11
    assert again == {name: whole[name] for name in again}


def test_imp_masks_are_nested_and_dynamic_masks_move(outcome, store):
    found = {one.folder.name: one for one in Store(store).all()}

    def mask(arm, round_):
        row = next(r for r in outcome.results.rows if (r.arm, r.round) == (arm, round_))
        return found[row.run].state("final").mask

    assert mask("imp", 2).is_subset(mask("imp", 1))
    assert not mask("set", 2).is_subset(mask("set", 1))


def test_gradual_pruning_stops_early_only_where_it_has_its_density(outcome):
    for row in outcome.results.rows:
        if row.arm == "gradual":
            assert row.stop_iteration >= 30  # three quarters of 40


def test_the_report_has_costs_intervals_and_one_figure(outcome):
    _, dense, header, *lines = outcome.table.splitlines()
    assert dense.endswith(f"{40 / 27:.1f} epochs.")
    assert header.split()[-4:] == ["epochs", "at", "10.0", "%"]
    assert [line.split()[0] for line in lines] == list(METHODS)
    imp = next(line for line in lines if line.startswith("imp "))
    assert imp.endswith(f" {3 * 40 / 27:.1f}")  # dense and two rounds, 27 batches an epoch
    assert len(outcome.paths.figures) == 2  # as PNG and as SVG
    assert "Methods against random" in outcome.brief_verdict
    assert "Methods against imp" in outcome.brief_verdict
    page = outcome.page.read_text()
    assert all(f"<td>{name}</td>" in page for name in METHODS)
    assert "cost,collapsed" in outcome.paths.csv.read_text().splitlines()[0]


class CutError(Exception):
    pass


@pytest.mark.parametrize("arm", ["gradual", "deep-r", "snfs", "rigl", "synflow"])
def test_a_run_that_is_cut_off_resumes_to_the_same_end(arm, recipe, tmp_path):
    loaded = load_recipe(recipe)
    plan = expand(recipe, loaded, find_source(loaded.data.name))
    run = next(n.run for n in plan.nodes if (n.arm, n.round) == (arm, 2))
    job, method = make_job(run), method_of(run)
    engine = DenseEngine("cpu")
    engine = engine if method is None else Driven(engine, method, run.dynamic.seed)

    def go(path, report=None):
        start = lambda: starting_state(run, {}.__getitem__)  # noqa: E731
        return train(run, Record(), job, engine, start, Checkpoints(path, 0.0), report)

    def cut(step):
        if step >= 17:
            raise CutError

    whole, states = go(tmp_path / "whole")
    with pytest.raises(CutError):
        go(tmp_path / "cut", cut)
    assert (tmp_path / "cut").exists()
    again, resumed = go(tmp_path / "cut")
    assert replace(again, seconds=0) == replace(whole, seconds=0)
    for name, weight in states["final"].weights.items():
        assert torch.equal(weight, resumed["final"].weights[name])


def test_labels_and_options_from_the_command_line(recipe, tmp_path):
    methods = "[random, {name: set, label: set-half, drop: 0.5, every: 5it}]"
    outcome = wn.run(
        recipe,
        overrides=[f"compare.methods={methods}", "compare.densities=[0.2]", "train.steps=10it"],
        store=tmp_path,
        replicates=2,
        jobs=1,
    )
    assert {row.arm for row in outcome.results.rows} == {"ticket", "random", "set-half"}
    assert "set-half" in outcome.table


@pytest.mark.parametrize("criterion", ["synflow", "mlprune"])
def test_rounds_of_pruning_take_any_criterion(criterion, tmp_path):
    overrides = {
        "prune.criterion": criterion,
        "prune.rounds": 1,
        "controls": {"random": 1},
        "model.hidden": [9, 5],
        "train.steps": "10it",
        "train.evaluate": "10it",
        "engine": "dense",
    }
    outcome = wn.run("lth/digits", overrides=overrides, store=tmp_path, replicates=1, jobs=1)
    assert [row.status for row in outcome.results.rows] == ["done"] * 3


def test_rounds_after_training(tmp_path):
    """A run starts from the dense network's final state, pruned and repaired in rounds."""
    path = tmp_path / "rounds.yaml"
    methods = [
        {"name": "mlprune", "rounds": 3},
        {"name": "mlprune", "rounds": 3, "rewind": "init", "label": "rewound"},
        {"name": "obd", "rounds": 2},
    ]
    path.write_text(yaml.safe_dump(SMALL | {"compare": {"methods": methods, "densities": [0.1]}}))
    outcome = wn.run(str(path), store=tmp_path / "runs", jobs=1)
    found = {
        row.arm: one
        for row in outcome.results.rows
        for one in [_stored(tmp_path / "runs", row.run)]
    }
    for arm in ("mlprune", "rewound", "obd"):
        run, mask = found[arm].run, found[arm].state("final").mask
        model = make_network(run)
        load_weights(model, found["ticket"].state("final"))
        dense = Mask.dense({name: model.get_parameter(name) for name in run.pruning.prunable})
        seen = {"loader": examples(make_job(run), AnyExamples("all"), 0), "loss_fn": cross_entropy}
        options = {"rounds": run.pruning.rounds, "seed": run.pruning.seed, **run.pruning.options}
        slow = prune_in_rounds(
            model.eval(), run.pruning.criterion, round(0.1 * ALL), dense, **seen, **options
        )
        assert mask == slow
        begun = starting_state(run, lambda _: found["ticket"]).weights
        rewound = arm == "rewound"
        for name, value in model.state_dict().items():
            assert torch.equal(begun[name], value) is not rewound


def _stored(store, name):
    return next(one for one in Store(store).all() if one.folder.name == name)


@pytest.mark.filterwarnings("ignore::winnow.errors.OptionWarning")
def test_without_validation_images_and_with_convolutions_and_dropout(tmp_path):
    """Nothing here is particular to LeNet: batch norm, dropout and convolutions are scored too."""
    path = tmp_path / "conv.yaml"
    changed = {
        **SMALL,
        "data": {"name": "digits"},
        "model": {"name": "resnet-20", "width": 0.25},
        "train": {**SMALL["train"], "steps": "2it", "evaluate": "2it"},
        "compare": {**SMALL["compare"], "densities": [0.5]},
    }
    methods = ["grasp", "synflow", "data-dependent", "mlprune", "rigl", "edge-popup", "jackpot"]
    changed["compare"]["methods"] = methods
    path.write_text(yaml.safe_dump(changed))
    outcome = wn.run(str(path), store=tmp_path / "runs", jobs=1)
    assert [row.status for row in outcome.results.rows] == ["done"] * 8
