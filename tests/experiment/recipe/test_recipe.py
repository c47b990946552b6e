"""Recipes: what is accepted, what is refused and in which words, and the round trip."""

from __future__ import annotations

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from winnow.errors import UserError
from winnow.experiment.recipe.load import check_recipe, load_recipe
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.network import network
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.strict_yaml import parse_yaml

LENET = """
data: {name: mnist, validation: 5000}
model: {name: lenet-300-100, init: glorot-normal}
train: {steps: 50000it, batch: 60, optimizer: {name: adam, lr: 1.2e-3}, schedule: constant}
prune: {algorithm: imp, criterion: magnitude, scope: layer, rate: 0.2, rates: {output: 0.1}}
"""


@pytest.fixture
def lenet(tmp_path):
    path = tmp_path / "lenet.yaml"
    path.write_text(LENET)
    return str(path)


def test_numbers_are_numbers():
    plain = parse_yaml("{a: 1e-3, b: 1.2e-3, c: 5, d: 1E5, e: .5, f: '1e-3', g: 1_000}", "x")
    assert plain == {"a": 1e-3, "b": 1.2e-3, "c": 5, "d": 1e5, "e": 0.5, "f": "1e-3", "g": 1000}
    assert [type(v) for v in plain.values()] == [float, float, int, float, float, str, int]


@pytest.mark.parametrize(
    ("train", "text"),
    [
        ("train.optimizer={name: adam, lr: 1, decay: 0.9}", "decay does not apply to adam"),
        ("train.optimizer={name: rmsprop, lr: 1, betas: [0.9, 0.99]}", "betas does not apply"),
        ("train.optimizer={name: rmsprop, lr: 1, decay: 1.0}", "decay is 1.0"),
        ("train.schedule=exponential", "every goes with exponential"),
        ("train.schedule={name: cosine, every: 2ep}", "every goes with exponential"),
        ("train.schedule={name: cosine, to: 0.005}", "to goes with linear"),
        ("train.schedule={name: linear, to: -1}", "to"),
        ("train.schedule={name: linear, drops: [2ep]}", "drops go with steps"),
    ],
)
def test_options_of_rules_and_schedules_are_checked(train, text):
    with pytest.raises(UserError, match=text):
        load_recipe("lth/digits", [train])


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["data.size=32"], r"size is 32, but the images of digits are in memory"),
        (["data.augment=flip-resized-crop"], "for digits write augment: flip-crop"),
        (["data.name=imagenet", "data.augment=flip-crop"], "write augment: flip-resized-crop"),
        (["data.name=imagenet", "data.size=7"], "data.size is 7"),
        (["data.name=generated-images"], "engine sparse takes images in memory alone"),
        (["data.name=imagnet", "data.size=32"], "imagenet"),
    ],
)
def test_sizes_and_augmentations_are_those_of_files_or_of_memory(overrides, text):
    with pytest.raises(UserError, match=text):
        network(load_recipe("lth/digits", overrides))


def test_images_in_files_have_the_size_written_or_their_usual_one():
    recipe = load_recipe("lth/digits", ["data.name=imagenet", "engine=dense"])
    assert recipe.data.resolved_size == 224
    small = load_recipe("lth/digits", ["data.name=imagenet", "data.size=32", "engine=dense"])
    assert small.data.resolved_size == 32
    assert network(small).get_parameter("hidden.0.weight").shape[1] == 3 * 32 * 32
    assert load_recipe("lth/digits").data.resolved_size is None


def test_an_optimizer_has_the_usual_values_of_torch():
    recipe = load_recipe("lth/digits", ["train.optimizer={name: rmsprop, lr: 0.045, eps: 1.0}"])
    theirs = torch.optim.RMSprop([torch.nn.Parameter(torch.zeros(1))]).defaults
    resolved = recipe.train.optimizer.resolved()
    assert (resolved["decay"], resolved["momentum"]) == (theirs["alpha"], theirs["momentum"])
    assert (resolved["lr"], resolved["eps"]) == (0.045, 1.0)


def test_yes_and_no_are_words():
    assert parse_yaml("{a: no, b: on, c: true}", "x") == {"a": "no", "b": "on", "c": True}


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(UserError, match=r"x: line 3: the key 'a' stands twice"):
        parse_yaml("b: 1\na: 1\na: 2", "x")


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_are_valid_and_survive_a_round_trip(name):
    recipe = load_recipe(name)
    assert recipe.title
    assert recipe.source
    again = check_recipe(parse_yaml(yaml.safe_dump(recipe.dump()), "again"), "again")
    assert again == recipe


def test_the_papers_own_lenet_experiment():
    recipe = load_recipe("lth/4")
    assert (recipe.data.name, recipe.data.validation) == ("mnist", 5000)
    assert (recipe.train.steps, recipe.train.batch, recipe.train.evaluate) == (
        "50000it",
        60,
        "100it",
    )
    assert recipe.train.optimizer.resolved() == {
        "name": "adam",
        "lr": 1.2e-3,
        "weight_decay": 0.0,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
    }
    assert (recipe.prune.rate, recipe.prune.rates, recipe.prune.rounds) == (
        0.2,
        {"output": 0.1},
        28,
    )
    assert (recipe.controls.reinit, recipe.controls.random, recipe.controls.one_shot) == (
        3,
        2,
        "paper",
    )
    assert recipe.replicates == 5


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.steps=500", 'train.steps is 500: write iterations as "500it" or epochs as "5ep"'),
        ("train.steps=1.5it", "iterations are whole"),
        ("train.stepz=5it", "unknown key 'train.stepz'. Did you mean 'train.steps'?"),
        ("trian.steps=5it", "unknown key 'trian'. Did you mean 'train'?"),
        ("prune.rate=1", "prune.rate is 1: input should be less than 1"),
        ("prune={rate: 0}", "rate 0 removes nothing"),
        ("prune.rates.output=-0.1", "prune.rates.output is -0.1"),
        ("prune.rounds=1.5", "prune.rounds is 1.5: input should be a valid integer"),
        ("prune.scope=global", "rates of single layers go with scope: layer"),
        ("prune.densities=[1.5]", "1.5: input should be less than or equal to 1"),
        ("train.optimizer.lr=fast", "train.optimizer.lr is 'fast': input should be a valid number"),
        (
            "train.optimizer.name=adma",
            "'nesterov', 'adam', 'adamw' or 'rmsprop'",
        ),
        ("train.optimizer.momentum=0.9", "momentum does not apply to adam"),
        ("train.optimizer=adam", "train.optimizer.lr is missing (e.g. 0.0012)"),
        ("train.schedule=steps", "drops go with steps"),
        ("model.init=normal", "std goes with normal"),
        ("data.validation=-1", "data.validation is -1: input should be greater than or equal to 0"),
        ("controls.reinit=true", "controls.reinit is True: input should be a valid integer"),
        ("replicates=0", "replicates is 0: input should be greater than or equal to 1"),
        ("engine=warp", "engine is 'warp'"),
        ("seeds.order=-1", "seeds.order is -1"),
        ("train.batch", "write key=value"),
        ("train.batch=[", "no valid YAML"),
    ],
)
def test_bad_values_are_told_with_field_value_and_what_is_allowed(lenet, override, told):
    with pytest.raises(UserError) as caught:
        load_recipe(lenet, [override])
    assert told in str(caught.value)


def test_overrides_use_the_recipes_own_names(lenet):
    recipe = load_recipe(
        lenet,
        ["train.optimizer.lr=1e-4", "train.schedule.warmup=5it", "controls.one-shot=paper"],
        replicates=2,
    )
    assert recipe.train.optimizer.lr == 1e-4
    assert (recipe.train.schedule.name, recipe.train.schedule.warmup) == ("constant", "5it")
    assert recipe.controls.one_shot == "paper"
    assert recipe.replicates == 2


def test_unknown_recipes_name_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"unknown recipe 'lth/digts'. Did you mean 'lth/digits'"):
        load_recipe("lth/digts")
    with pytest.raises(UserError, match="no recipe file"):
        load_recipe(str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(UserError, match="must be a mapping"):
        load_recipe(str(tmp_path / "list.yaml"))


@given(
    st.floats(1e-6, 1e3),
    st.integers(1, 10**6),
    st.sampled_from(["sgd", "momentum", "adam"]),
    st.floats(0.01, 0.99),
    st.lists(st.floats(0.001, 1.0), min_size=1, max_size=4, unique=True),
)
def test_every_valid_recipe_survives_its_dump(lr, batch, optimizer, rate, densities):
    recipe = Recipe.model_validate(
        {
            "data": {"name": "digits"},
            "model": {"name": "lenet-300-100", "hidden": [5, 3]},
            "train": {
                "steps": "7ep",
                "batch": batch,
                "optimizer": {"name": optimizer, "lr": lr},
            },
            "prune": {"rate": rate, "densities": densities},
        }
    )
    text = yaml.safe_dump(recipe.dump())
    assert check_recipe(parse_yaml(text, "dump"), "dump") == recipe
