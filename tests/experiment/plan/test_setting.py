"""What all runs share: seeds, epochs and layers of a recipe, and what does not fit together."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from sample_plans import points_of, small

from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.runs import SPARSE_GRAPHS, load_run
from winnow.experiment.store.images import Source

CIFAR = Source(50_000, "cifar")


def test_seeds_are_fixed_or_go_by_replicate():
    plan = small(replicates=3, seeds={"init": 7, "mask": 9}, controls={"random": 1})
    dense = [points_of(plan, "ticket", r)[0].run.seeds for r in range(3)]
    assert dense == [{"init": 7, "order": r, "split": r} for r in range(3)]
    assert {n.run.pruning.seed for n in plan.nodes if n.run.pruning} == {9}
    fixed = small(seeds=dict.fromkeys(("init", "order", "split", "mask"), 1))
    assert len(fixed.nodes) == 2 * len(fixed.runs)  # two replicates of the same runs


def test_seeds_that_nothing_draws_from_are_no_part_of_a_run():
    bare = small(data={"validation": 0}, seeds={"split": 3, "augment": 3, "dropout": 3})
    assert points_of(bare, "ticket")[0].run.seeds == {"init": 0, "order": 0}
    used = expand(
        "used",
        load_recipe("lth/5", ["model.dropout=0.5", "data.augment=flip-crop"], 1),
        CIFAR,
    )
    everything = {"init", "order", "split", "augment", "dropout"}
    assert used.nodes[0].run.seeds == dict.fromkeys(everything, 0)


def test_a_part_of_the_data_makes_shorter_epochs_and_other_runs():
    whole, part = small(), small(data={"train": 410}, train={"steps": "2ep"})
    run = part.nodes[0].run
    assert run.steps == 2 * 9  # 410 = 8 · 50 + 10
    assert run.data == replace(whole.nodes[0].run.data, train=410)
    same = replace(whole.nodes[0].run, data=run.data)
    assert same.id != whole.nodes[0].run.id
    alone = small(data={"validation": 0, "train": 410}).nodes[0].run
    assert alone.seeds == {"init": 0, "order": 0, "split": 0}
    assert small(data={"train": 1200}).nodes[0].run.steps == 100


def test_images_in_files_have_a_size_and_those_in_memory_none():
    files = ["data.name=imagenet", "model={name: resnet-20}", "data.augment=flip-resized-crop"]
    sizes = {}
    for size in ([], ["data.size=224"], ["data.size=64"]):
        recipe = load_recipe("lth/digits", [*files, *size, "engine=auto", "prune.rates={}"], 1)
        run = expand("files", recipe, Source(1_281_167, "images")).nodes[0].run
        sizes[run.data.size] = run
        assert run.seeds == {"init": 0, "order": 0, "split": 0, "augment": 0}
        assert load_run(asdict(run)) == run
    assert set(sizes) == {224, 64}, "the usual size is written out: a new default makes new runs"
    assert sizes[224].id != sizes[64].id
    memory = small().nodes[0].run
    assert memory.data.size is None
    assert replace(memory, data=replace(memory.data, size=8)).id != memory.id


def test_epochs_become_iterations():
    train = {"steps": "3ep", "evaluate": "0.5ep", "accuracy_at": ["1ep", "50it"]}
    node = points_of(small(train=train), "ticket")[0]
    assert (node.run.steps, node.run.evaluate) == (72, 12)
    assert node.record.accuracy_at == {24, 50}
    few = {"steps": "3ep", "evaluate": "1it", "batch": 500}
    dropped = small(train=few | {"last_batch": "drop"}).nodes[0].run
    assert dropped.steps == 3 * 2  # 1,200 = 2 · 500 + 200
    assert small(train=few | {"last_batch": "keep"}).nodes[0].run.steps == 3 * 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"validation": 1437}}, "data.validation is 1437: digits has 1437 examples"),
        (
            {"data": {"train": 1201}},
            "data.train is 1201: digits has 1437 examples for",
        ),
        ({"prune": {"rewind": "100it"}}, "prune.rewind is 100it, iteration 100, but training ends"),
        ({"prune": {"rewind": "5ep"}}, "prune.rewind is 5ep, iteration 120"),
        ({"train": {"accuracy_at": ["101it"]}}, "names iteration 101: training has iterations 1"),
        ({"train": {"accuracy_at": ["0it"]}}, "names iteration 0"),
        ({"train": {"validation_at": ["101it"]}}, "train.validation_at names iteration 101"),
        (
            {"train": {"validation_at": ["101it"]}},
            "it says train.validation_at, too: others, or []",
        ),
        ({"train": {"validation_at": ["5it"]}, "data": {"validation": 0}}, "no images are held"),
        ({"train": {"steps": "0it"}}, "train.steps is 0it, 0 iterations: at least 1 is needed"),
        ({"train": {"evaluate": "0.001ep"}}, "train.evaluate is 0.001ep, 0 iterations"),
        ({"prune": {"ignore": ["*"]}}, "prune.ignore exempts every layer of lenet-300-100"),
        ({"prune": {"ignore": ["outptu"]}}, "unknown parameter 'outptu'"),
        ({"prune": {"rates": {"hiden.0.weight": 0.1}}}, "Did you mean 'hidden.0.weight'?"),
        ({"prune": {"criterion": "magnitud"}}, "unknown criterion 'magnitud'. Did you mean"),
        ({"model": {"name": "lenet-300"}}, "'lenet-300'. Did you mean 'lenet-300-100'?"),
        ({"model": {"width": 2.0}}, "lenet-300-100 does not take the option width"),
        ({"data": {"name": "digit"}}, "unknown dataset 'digit'. Did you mean 'digits'?"),
        (
            {"prune": {"rewind": "none"}, "train": {"schedule": {"name": "cosine"}}},
            "cosine ends at 0",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_before_anything_trains(changes, told):
    with pytest.raises(UserError) as caught:
        small(**changes)
    assert told in str(caught.value)


def test_initialisations_of_parts_are_other_runs_and_the_usual_is_silent():
    usual = small().nodes[0].run
    same = small(model={"norm_init": "ones", "conv_bias": False, "shortcut": "projection"})
    assert same.nodes[0].run.id == usual.id
    for init in ("kaiming-fan-out", {"name": "glorot-normal", "head": 0.01}):
        other = small(model={"init": init}).nodes[0].run
        assert other.id != usual.id
    assert other.model.init.head == 0.01


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"norm_init": "uniform"}, "lenet-300-100: the weights of batch normalisation"),
        ({"conv_bias": True}, "does not take the option conv_bias"),
        ({"shortcut": "padded"}, "does not take the option shortcut"),
        ({"init": {"name": "kaiming-fan-out", "kept": 0.5}}, "kept goes with kaiming"),
    ],
)
def test_what_a_network_does_not_have_is_refused(model, text):
    with pytest.raises(UserError, match=text):
        small(model=model)


def test_an_exponential_schedule_in_iterations():
    train = {"steps": "4ep", "schedule": {"name": "exponential", "factor": 0.94, "every": "2ep"}}
    run = small(train=train).nodes[0].run
    assert (run.schedule.every, run.schedule.factor, run.schedule.drops) == (48, 0.94, ())
    usual = small(train={"steps": "4ep"}).nodes[0].run.schedule
    assert (usual.every, usual.factor) == (None, None)
    train["schedule"] = {"name": "exponential", "every": "0it"}
    with pytest.raises(UserError, match="every of the schedule is 0it"):
        small(train=train)


def test_the_rate_at_which_a_line_ends():
    train = {"schedule": {"name": "linear", "to": 0.005}}
    run, zero = (small(train=t).nodes[0].run for t in (train, {"schedule": "linear"}))
    assert (run.schedule.to, zero.schedule.to) == (0.005, 0.0)
    assert run.id != zero.id


@pytest.mark.parametrize(
    ("lines", "revision"),
    [
        (["engine=sparse"], 1),
        (["engine=sparse", "data.augment=flip-crop"], SPARSE_GRAPHS),
        (["engine=sparse", "model={name: conv-2}"], SPARSE_GRAPHS),
        (["engine=sparse-bf16", "model={name: conv-2}"], SPARSE_GRAPHS),
        (["engine=auto", "model={name: conv-2}"], 1),
        (["engine=dense", "model={name: conv-2}"], 1),
    ],
    ids=str,
)
def test_what_one_engine_makes_otherwise_is_another_run_and_nothing_else_is(lines, revision):
    changed = ["data.name=cifar-10", "prune.rates={}", *lines]
    run = expand("revised", load_recipe("lth/digits", changed, 1), CIFAR).nodes[0].run
    assert run.revision == revision
    assert (replace(run, revision=1).id == run.id) is (revision == 1)
    assert load_run(asdict(run)).id == run.id
    before = {name: value for name, value in asdict(run).items() if name != "revision"}
    assert (load_run(before).id == run.id) is (revision == 1)
