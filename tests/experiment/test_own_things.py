"""Recipes with a network and data of one's own, from the plan to the report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import yaml
from command_line import folders, refused, winnow
from inline_pool import InlinePool
from kill_run import kill_when_begun
from own_things import CONV, DATA, NET, RECIPE, write_own_things

import winnow as wn
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.stacked import StackedEngine
from winnow.errors import UserError
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.runs import Record
from winnow.experiment.store.images import find_sources
from winnow.experiment.store.store import Store
from winnow.experiment.train.checkpoint import Checkpoints
from winnow.experiment.train.disturb import disturbed
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.job import initial_network, make_job, make_network
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train
from winnow.mask import Mask
from winnow.report import read_results
from winnow.state import State

COMPARED = [
    "snip",
    {"name": "synflow", "rounds": 2},
    "imp",
    {"name": "rigl", "every": "2it"},
    {"name": "edge-popup", "init": "own", "scale_fan": False},
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WINNOW_STORE", str(tmp_path / "runs"))
    monkeypatch.setattr("os.fsync", lambda _: None)
    write_own_things(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("winnow_outside"):
            del sys.modules[name]


def planned(**parts):
    recipe = check_recipe({**RECIPE, **parts}, "mine")
    return expand_lines("mine", recipe, find_sources(recipe))


def dense(**parts):
    return next(iter(planned(**parts).runs.values()))


def made(plan, store):
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, []))
    return read_results(plan.experiment(), store)


def trained(run, **more):
    def none(identity):
        raise AssertionError(identity)

    start = lambda: starting_state(run, none)  # noqa: E731
    return train(run, Record(), make_job(run), DenseEngine("cpu"), start, **more)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def weights(model):
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.slow
def test_a_killed_command_goes_on_and_gives_the_same(folder):
    words = ["run", "mine.yaml", "-q", "--jobs", "1", "-o", "train.steps=150it"]
    run = dense(train={**RECIPE["train"], "steps": "150it"})
    command = [sys.executable, "-m", "winnow", *words, "--store", "cut", "--checkpoint", "0"]
    process = subprocess.Popen(command, start_new_session=True)
    kill_when_begun(process, Store(folder / "cut"), run)
    for store in ("cut", "whole"):
        subprocess.run([sys.executable, "-m", "winnow", *words, "--store", store], check=True)
    assert folders(folder / "cut") == folders(folder / "whole")
    for name in folders(folder / "whole"):
        cut, whole = (
            json.loads((folder / store / "runs" / name / "result.json").read_text())
            for store in ("cut", "whole")
        )
        assert cut["curve"] == whole["curve"]
        assert cut["files"] == whole["files"]  # hashes of the states


def test_files_that_move_keep_their_runs_and_files_that_change_do_not(folder):
    def missing():
        answer = winnow("plan", "mine.yaml")
        assert answer.code == 0, answer
        return next(line for line in answer.out.splitlines() if "runs done" in line)

    store = Store(folder / "runs").open()
    made(planned(), store)
    assert missing().startswith("2 runs, 40 iterations; 2 runs done")
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "net.py", folder / "elsewhere" / "other.py")
    shutil.move(folder / "data.py", folder / "elsewhere" / "read.py")
    moved = {"data": {**RECIPE["data"], "name": "elsewhere/read.py:made"}}
    moved["model"] = {**RECIPE["model"], "name": "elsewhere/other.py:build"}
    (folder / "mine.yaml").write_text(yaml.safe_dump({**RECIPE, **moved}))
    assert "2 runs done" in missing()
    read = folder / "elsewhere" / "read.py"
    read.write_text("# the same data\n" + DATA)
    assert "2 runs done" in missing()
    read.write_text(DATA.replace("default_rng(0)", "default_rng(1)"))
    assert " 0 runs done, 2 missing" in missing()
    read.write_text(DATA)
    (folder / "elsewhere" / "other.py").write_text(NET + "\n# edited\n")
    assert " 0 runs done, 2 missing" in missing()
    made(planned(**moved), store)
    assert len(folders(folder / "runs")) == 4


def test_what_was_run_is_shown_and_reported_where_the_files_are_gone(folder):
    """Named by module here, as workers find it in the current folder."""
    model = {**RECIPE["model"], "name": "net:build"}
    write_own_things(folder, model=model)
    assert winnow("run", "mine.yaml", "-q", "--jobs", "1").code == 0
    (folder / "net.py").unlink()
    (folder / "data.py").unlink()
    shown = json.loads(winnow("show", folders(folder / "runs")[0]).out)
    assert shown["run"]["model"]["place"] == "net:build"
    assert shown["run"]["data"]["place"] == "data.py:made"
    answer = winnow("report", "mine.yaml", "--out", "again")
    assert answer.code == 0, answer
    assert "is reported as it was run" in answer.err
    refused(winnow("run", "mine.yaml"), "there is no file 'data.py'")


def test_a_file_that_is_edited_meanwhile_changes_no_run(folder):
    plan, store = planned(), Store(folder / "runs").open()

    class Editing(InlinePool):
        def start(self, task):
            (folder / "net.py").write_text(NET.replace("gelu", "relu"))
            super().start(task)

    execute(plan, store, Settings(1), pool=lambda _: Editing(store, []))
    (folder / "net.py").write_text(NET)
    other = Store(folder / "other").open()
    made(plan, other)
    for run in plan.runs.values():
        assert store.find(run).result.files == other.find(run).result.files


def test_own_weights_are_drawn_from_the_seeds_alone():
    run = dense()
    torch.manual_seed(1)
    first = weights(initial_network(run))
    before = torch.get_rng_state()
    again = initial_network(run)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(first, weights(again))
    assert not same(first, weights(initial_network(run, draw=1)))
    assert not same(first, weights(initial_network(run, seed=1)))
    assert again.norm.weight.eq(1).all()  # its own initialisation
    assert torch.equal(make_network(run).scale, make_network(run).scale)


def test_cut_at_any_step_it_resumes_in_the_same_bits(tmp_path):
    """Dropout outside nn.Dropout included."""
    run = dense()
    whole, states = trained(run)
    torch.manual_seed(77)
    checkpoints = Checkpoints(tmp_path / "c.safetensors", every=0)

    def cut(step):
        if step >= 7 and checkpoints.path.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(run, checkpoints=checkpoints, report=cut)
    torch.manual_seed(78)
    result, resumed = trained(run, checkpoints=checkpoints)
    assert same(states["final"].weights, resumed["final"].weights)
    assert result.curve == whole.curve


def test_bytes_and_the_same_numbers_as_floats_train_alike():
    model = {"name": "conv.py:build"}
    bytes_, floats = (
        dense(data={"name": f"data.py:{name}", "scaling": "none"}, model=model)
        for name in ("images", "float_images")
    )
    assert bytes_.id != floats.id
    one, other = trained(bytes_)[1]["final"], trained(floats)[1]["final"]
    assert same(one.weights, other.weights)
    standard = dense(data={"name": "data.py:float_images"}, model=model)
    x, _ = make_job(standard).data.splits["train"].take(torch.arange(120))
    data = make_job(standard).data
    assert torch.allclose(x.mean((0, 2, 3)).double(), torch.tensor(data.mean).double())
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.tensor(data.std).float())


def test_engines_take_such_networks_or_say_why_not():
    conv = {"name": "conv.py:build"}
    images = make_job(dense(data={"name": "data.py:images"}, model=conv))
    floats = make_job(dense(data={"name": "data.py:float_images"}, model=conv))
    for job in (images, floats):
        assert StackedEngine("cpu").refuses(job) is None
    assert SparseEngine().refuses(images) is None
    assert SparseEngine().refuses(floats) == (
        "its images are torch.float32, and its kernels read uint8"
    )
    assert "vmap" in StackedEngine("cpu").refuses(make_job(dense()))  # draws outside nn.Dropout


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None and not shutil.which("g++"), reason="no compiler")
def test_compiled_steps_take_floats():
    run = dense(data={"name": "data.py:float_images"}, model={"name": "conv.py:build"})
    state = starting_state(run, lambda _: None)
    engine = CompiledEngine("cpu")
    session = engine.open(make_job(run), state)
    session.advance(3)
    other = DenseEngine("cpu").open(make_job(run), state)
    other.advance(3)
    assert not engine.notes
    one, two = session.state().weights, other.state().weights
    assert all(torch.allclose(one[n], two[n], atol=1e-5) for n in one)


@pytest.mark.parametrize("name", ["sentences", "letters"])
def test_tokens_are_never_other_numbers_than_the_data_has(folder, name):
    """Neither where networks are tried, nor where engines are measured."""
    data = {"name": f"tokens.py:{name}", "scaling": "none", "validation": 20}
    model = {"name": "tokens.py:Reader"}
    parts = {"data": data, "model": model, "train": {**RECIPE["train"], "steps": "30it"}}
    write_own_things(folder, **parts, engine="auto")
    answer = winnow("plan", "mine.yaml")
    assert answer.code == 0, answer
    assert "pace: dense" in answer.out
    rows = made(planned(**parts, engine="auto"), Store(folder / "runs").open()).rows
    assert min(row.final_test_accuracy for row in rows) > 0.8
    refused(winnow("run", "mine.yaml", "-o", "data.scaling=standard"), "its forward pass on images")


@pytest.mark.parametrize("init", ["own", "kaiming-normal"])
def test_methods_and_their_controls(folder, init):
    plan = planned(
        data={"name": "data.py:images", "augment": "flip-crop"},
        model={"name": "conv.py:build", "init": init},
        prune={},
        compare={
            "densities": [0.5],
            "methods": COMPARED,
            "controls": {"shuffled": 1, "reinit": 1, "inverted": True},
        },
    )
    rows = made(plan, Store(folder / "runs").open()).rows
    arms = {row.arm for row in rows}
    assert {"snip", "snip-reinit", "synflow-shuffled", "imp", "rigl", "edge-popup"} <= arms
    assert all(row.status == "done" for row in rows)
    assert all(row.density_total < 0.6 for row in rows if row.round)


def test_controls_of_a_ticket_rewinding_and_replicates(folder):
    controls = {
        "reinit": 1,
        "random": 1,
        "noise": [0.5],
        "permuted": 1,
        "reinit-masked": 1,
        "order": 1,
    }
    plan = planned(
        prune={"rounds": 2, "rate": 0.5, "rewind": "5it", "ignore": ["out.weight"]},
        controls=controls,
        replicates=2,
        lines={"small": {}, "wide": {"model.options": {"width": 9}}},
    )
    results = made(plan, Store(folder / "runs").open())
    assert {row.line for row in results.rows} == {"small", "wide"}
    assert all(row.status == "done" for row in results.rows)
    arms = {"ticket", "reinit", "random", "noise-0.5", "permuted", "reinit-masked", "order"}
    assert arms <= {row.arm for row in results.rows}
    pruned = next(run for run in plan.runs.values() if run.pruning)
    assert pruned.prunable == ("first.weight",)


def test_noise_is_in_deviations_of_the_weights_that_the_seed_gives():
    plan = planned(controls={"noise": [0.5]})
    run = next(run for run in plan.runs.values() if run.start.noise is not None)
    plain = replace(run, start=replace(run.start, noise=None))
    initial = initial_network(run).first.weight.detach()
    mask = Mask.dense({"first.weight": initial})
    before = State(0, {"first.weight": initial}, {}, mask)
    half = disturbed(run, before).weights["first.weight"] - initial
    whole = disturbed(replace(run, start=replace(run.start, noise=1.0)), before)
    assert torch.allclose(whole.weights["first.weight"] - initial, 2 * half, atol=1e-6)
    assert float(half.std() / initial.std()) == pytest.approx(0.5, rel=0.2)
    assert same(disturbed(plain, before).weights, before.weights)


def test_a_folder_of_images(folder):
    image = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for label, name in enumerate(("dark", "light")):
            (folder / "pictures" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 100, (8, 8, 3)) + 150 * label
                path = folder / "pictures" / split / name / f"{number}.png"
                image.fromarray(pixels.astype(np.uint8)).save(path)
    write_own_things(
        folder,
        data={"name": "./pictures", "validation": 4, "augment": "flip-crop"},
        model={"name": "conv.py:build"},
    )
    assert winnow("run", "mine.yaml", "-q", "--jobs", "1").code == 0
    shutil.move(folder / "pictures", folder / "moved")
    moved = ("-o", "data.name=./moved")
    assert "2 runs done" in winnow("plan", "mine.yaml", *moved).out
    in_files = (*moved, "-o", "data.size=8", "-o", "data.augment=flip-resized-crop")
    assert winnow("run", "mine.yaml", "-q", "--jobs", "1", *in_files).code == 0
    assert len(folders(folder / "runs")) == 4
    (folder / "moved" / "test" / "dark" / "0.png").unlink()
    assert " 0 runs done, 2 missing" in winnow("plan", "mine.yaml", *moved).out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["model.name=net.py:bild"], "Did you mean 'build'"),
        (["model.name=nett.py:build"], "Did you mean 'net.py'"),
        (["model.options.widht=3"], "Did you mean 'width'"),
        (["model.init=kaiming-normal"], "write model.init: own"),
        (["model.init={name: own, head: 0.1}"], "head goes with the other initialisations"),
        (["model.norm_init=uniform"], "norm_init goes with the other initialisations"),
        (["model.dropout=0.5"], "what net.py:build takes stands in options"),
        (["model={name: lenet-300-100, options: {width: 3}}"], "for a network of your own"),
        (["data.name=data.py:mad"], "Did you mean 'made'"),
        (["data.size=8"], "size is 8, and is for a folder of images"),
        (["data.augment=flip-crop"], "data.augment is flip-crop, for uint8 images"),
        (["data.augment=flip-resized-crop"], "flip-resized-crop is for images in files"),
        (["data.scaling=unit-interval"], "write standard or none"),
        (["data.validation=120"], "data.py:made has 120 examples"),
        (["data.name=nothing"], "a folder of your own is ./nothing"),
        (["engine=sparse", "data.name=./x", "data.size=8"], "engine sparse takes images in memory"),
    ],
)
def test_what_does_not_fit_is_told(changes, told):
    words = [word for change in changes for word in ("-o", change)]
    refused(winnow("run", "mine.yaml", "-q", *words), told)


def test_a_network_that_cannot_be_trained_is_refused_before_anything_trains(folder):
    net = folder / "net.py"
    net.write_text(
        NET.replace("self.scale.abs()", "self.scale.abs(), x").replace(
            "return self.out", "return self.out"
        )
    )
    refused(winnow("run", "mine.yaml", "-q"), "model.name 'net.py:build' returns a tuple")
    assert not folders(folder / "runs")


def test_objects_from_python(folder):
    sys.path.insert(0, str(folder))
    try:
        import conv

        recipe = {k: v for k, v in RECIPE.items() if k not in ("data", "model")}
        recipe |= {"data": {"validation": 20}}
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(90) % 3
        x = torch.rand(90, 2, 4, 4, generator=generator) + y.view(-1, 1, 1, 1)
        data = ((x[:60], y[:60]), (x[60:], y[60:]))
        outcome = wn.run(recipe, model=conv.build, data=data, jobs=1)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("conv", None)
    assert [row.status for row in outcome.results.rows] == ["done", "done"]
    (file,) = (folder / "runs" / "recipes").iterdir()
    assert file.name.startswith("mine-")
    assert "2 runs done" in winnow("plan", file).out  # the command line takes it as well
    named = wn.run(str(file), jobs=1)
    assert named.results.rows == outcome.results.rows


def test_objects_in_place_of_those_of_a_recipe_by_name(folder):
    (folder / "plain.py").write_text(CONV)
    digits = {"train.steps": "10it", "train.evaluate": "10it", "prune.rounds": 0, "controls": {}}
    outcome = wn.run(
        "lth/digits",
        model="plain.py:build",
        overrides=digits | {"engine": "dense"},
        replicates=1,
        jobs=1,
    )
    assert [row.arm for row in outcome.results.rows] == ["ticket"]
    (run,) = folders(folder / "runs")
    assert run.startswith("digits-build-dense-")


def test_data_that_is_not_as_it_should_be_is_told():
    recipe = {k: v for k, v in RECIPE.items() if k != "data"}
    with pytest.raises(UserError, match="data: there is no test split"):
        wn.run(recipe, data={"train": (torch.zeros(3, 2), torch.arange(3))})
    with pytest.raises(UserError, match="model is a Linear: give the function that builds it"):
        wn.run({**RECIPE, "model": {}}, model=torch.nn.Linear(2, 2))
    with pytest.raises(UserError, match=r"model.name is 'net.py:build', and model= is given"):
        wn.run(RECIPE, model="conv.py:build")
    train = {"optimizer": torch.optim.SGD([torch.zeros(1, requires_grad=True)])}
    with pytest.raises(UserError, match=r"recipe.train.optimizer is a SGD"):
        wn.run({**RECIPE, "train": train})
