"""Jobs on images in files: planned, trained, cut and resumed, scored and analysed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import PIL
import pytest
import torch
from inline_pool import InlinePool
from kill_run import kill_when_begun

from winnow import rng
from winnow.data import load_dataset
from winnow.data.crops import draw_crops
from winnow.data.image_files import READERS, ImageFiles
from winnow.engine.dense import DenseEngine
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.run_parts import AnyExamples, BalancedExamples
from winnow.experiment.runs import Record
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.checkpoint import Checkpoints
from winnow.experiment.train.examples import examples
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.job import make_job, make_network
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train
from winnow.report import read_results

ENGINE = DenseEngine("cpu")
NAME = "generated-images"
RECIPE = {
    "data": {"name": NAME, "validation": 32, "augment": "flip-resized-crop", "size": 16},
    "model": {"name": "resnet-20", "width": 0.25, "init": "kaiming-normal"},
    "train": {
        "steps": "16it",
        "batch": 32,
        "optimizer": {"name": "momentum", "lr": 0.1},
        "evaluate": "8it",
    },
    "replicates": 1,
}

pytestmark = pytest.mark.usefixtures("own_cache", "no_fsync")


def planned(**parts):
    recipe = check_recipe({**RECIPE, **parts}, "files")
    return expand("files", recipe, find_source(NAME))


@pytest.fixture
def run():
    return next(iter(planned(prune={"rounds": 0}).runs.values()))


def trained(run, **more):
    return train(run, Record(), make_job(run), ENGINE, lambda: starting_state(run, none), **more)


def none(identity):
    raise AssertionError(identity)


def numbers(result):
    return {k: v for k, v in vars(result).items() if k != "seconds"}


def test_splits_are_disjoint_and_share_their_files(run):
    splits = make_job(run).data.splits
    assert {name: len(split.index) for name, split in splits.items()} == {
        "train": 160,
        "validation": 32,
        "test": 64,
    }
    both = torch.cat([splits["train"].index, splits["validation"].index])
    assert sorted(both.tolist()) == list(range(192))
    images = load_dataset(NAME)
    assert splits["train"].images.shape == (192, 3, 16, 16)
    assert splits["validation"].images is splits["train"].images
    assert splits["test"].labels.equal(images.test_y)
    x, y = splits["test"].take(torch.tensor([0, 63]))
    assert x.equal(ImageFiles(images.test_x.listing, 16).read(torch.tensor([0, 63]).numpy()))
    assert y.tolist() == [0, 3]


def test_a_network_gets_images_of_the_size_that_the_recipe_says(run):
    lenet = {"name": "lenet-300-100"}
    for size, inputs in ((16, 16), (None, 64)):
        data = {k: v for k, v in RECIPE["data"].items() if k != "size"}
        data |= {} if size is None else {"size": size}
        plan = planned(data=data, model=lenet, prune={"rounds": 0})
        run = next(iter(plan.runs.values()))
        assert run.data.size == inputs
        assert make_network(run).get_parameter("hidden.0.weight").shape[1] == 3 * inputs**2
        assert make_job(run).data.splits["train"].images.size == inputs


def test_images_that_changed_since_the_plan_are_refused(run):
    other = replace(run, data=replace(run.data, content="0" * 64))
    with pytest.raises(UserError, match=f"the images of {NAME} have changed"):
        make_job(other)


class CutError(Exception):
    pass


@pytest.mark.parametrize("at", [1, 13])
def test_cut_at_any_step_a_run_resumes_in_the_same_bits(run, at, tmp_path, monkeypatch):
    whole, states = trained(run)
    checkpoints = Checkpoints(tmp_path / "c.safetensors", every=0)

    def cut(step):
        if step >= at and checkpoints.path.exists():
            raise CutError

    monkeypatch.setenv(READERS, "3")  # nor does it matter how many read
    with pytest.raises(CutError):
        trained(run, checkpoints=checkpoints, report=cut)
    resumed = train(run, Record(), make_job(run), ENGINE, lambda: none("start"), checkpoints)
    assert numbers(resumed[0]) == numbers(whole)
    one, other = states["final"], resumed[1]["final"]
    for a, b in ((one.weights, other.weights), (one.buffers, other.buffers)):
        assert all(a[name].equal(b[name]) for name in a)


def test_augmentation_makes_another_run_with_a_seed_of_its_own(run):
    data = {**RECIPE["data"], "augment": "none"}
    plain = next(iter(planned(data=data, prune={"rounds": 0}).runs.values()))
    assert set(run.seeds) - set(plain.seeds) == {"augment"}
    assert trained(run)[0].curve != trained(plain)[0].curve


@pytest.mark.parametrize(
    "seen", [BalancedExamples(3, 2), AnyExamples(10), AnyExamples("all")], ids=str
)
@pytest.mark.parametrize("augmented", [False, True])
def test_criteria_see_the_images_of_the_training_split(run, seen, augmented):
    """As often as they go over the examples, which are read from their files each time."""
    job, seed = make_job(run), 5
    loader = examples(job, seen, seed, augmented)
    once, again = list(loader), list(loader)
    for (x, y), (x_again, y_again) in zip(once, again, strict=True):
        assert x.equal(x_again)
        assert y.equal(y_again)
    assert sum(len(y) for _, y in once) == seen.count(4, 160)
    if isinstance(seen, BalancedExamples):
        assert [torch.bincount(y).tolist() for _, y in once] == [[3] * 4] * 2
    train = job.data.splits["train"]
    for batch, (x, y) in enumerate(once):
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (job.data.mean, job.data.std))
        raw = (x * std + mean).round().to(torch.uint8)
        if seen == AnyExamples("all"):  # in the split's order: known without the draw of examples
            stream = rng.stream(seed, "scoring", "augment", batch)
            draws = draw_crops(len(y), stream) if augmented else None
            assert raw.equal(train.images.read(train.index.numpy(), draws))
        elif not augmented:
            every = train.take(torch.arange(160))[0].flatten(1)
            assert all(bool((every == one).all(1).any()) for one in raw.flatten(1))


def test_a_killed_command_goes_on_in_the_same_bits(store, tmp_path):
    """`winnow run FILE`, in processes of its own that are killed at a checkpoint."""
    parts = {"prune": {"rounds": 0}, "train": {**RECIPE["train"], "steps": "24it"}}
    plan = planned(**parts)
    (run,) = plan.runs.values()
    file = tmp_path / "set[1].yaml"
    file.write_text(json.dumps({**RECIPE, **parts}))  # JSON is YAML
    command = [sys.executable, "-m", "winnow", "run", str(file), "--store", str(store.path)]
    command += ["--checkpoint", "0", "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    kill_when_begun(process, store, run)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    resumed = store.find(run)
    whole, states = trained(run)
    assert resumed.result.curve == whole.curve
    final = resumed.state("final")
    assert all(torch.equal(v, final.weights[n]) for n, v in states["final"].weights.items())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


def execute_all(plan, store):
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, []))
    return read_results(plan.experiment(), store)


def test_criteria_that_see_examples_and_analyses_run(store):
    """One step of each: that they get images at all, where most would be in memory."""
    methods = ["snip", "grasp", "data-dependent", "synflow", {"name": "obd", "rewind": "lr"}]
    plan = planned(
        train={**RECIPE["train"], "steps": "2it", "evaluate": "2it"},
        compare={
            "densities": [0.5],
            "methods": [m if isinstance(m, dict) else {"name": m} for m in methods],
        },
        analyses=[
            {"name": "gradient_norm", "arms": ["snip"], "examples": 20},
            {"name": "effective_density", "arms": ["snip"]},
        ],
    )
    results = execute_all(plan, store)
    assert {row.arm for row in results.rows} == {
        "ticket",
        "data-dependent",
        "grasp",
        "obd",
        "snip",
        "synflow",
    }
    assert all(row.status == "done" for row in results.rows)
    found = {finding.key: finding.whole for finding in results.findings}
    assert found["gradient_norm"]
    assert found["effective_density"]["density"] == pytest.approx(0.5, abs=0.01)


def test_rounds_of_pruning_run_on_auto_which_takes_dense(store):
    train = {**RECIPE["train"], "steps": "3it", "evaluate": "3it"}
    plan = planned(train=train, prune={"rounds": 1, "rate": 0.5})
    execute_all(plan, store)
    (dense, ticket) = (store.find(run, plan.records[run.id]) for run in plan.runs.values())
    for found in (dense, ticket):
        assert found.provenance["engine"] == "dense"
        assert found.provenance["decoder"].startswith(f"pillow {PIL.__version__}, libjpeg ")
        assert "stay in files" in found.provenance["choice"]["note"]
    assert dense.state("final").mask is None
    assert ticket.state("final").mask.kept == sum(ticket.run.keep.values())
