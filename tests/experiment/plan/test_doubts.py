"""Options that are set without effect, or with one that nobody can mean: told, or refused."""

from __future__ import annotations

import pytest

import winnow as wn
from winnow.errors import OptionWarning, UserError
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.plan.plan import doubts_in
from winnow.experiment.recipe.load import check_recipe, has_scale, load_recipe, with_overrides
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.scales import SCALES
from winnow.experiment.store.images import Source, find_sources_offline
from winnow.experiment.store.store import Store

BASE = {
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [9, 5]},
    "train": {"steps": "200it", "batch": 50, "optimizer": {"name": "adam", "lr": 5e-3}},
    "prune": {"rounds": 2},
    "replicates": 1,
}
COMPARE = ["prune={}", "compare.methods=[snip]"]
SOURCES = {"digits": Source(1437, "usual")}


def doubts(*overrides: str) -> str:
    recipe = check_recipe(with_overrides(BASE, overrides), "here")
    return "\n".join(doubts_in(expand_lines("here", recipe, SOURCES)))


TOLD = {
    "a drop after the end": (["train.schedule={name: steps, drops: [300it]}"], "never drops"),
    "a drop at the end": (["train.schedule={name: steps, drops: [100it, 200it]}"], "at 200it"),
    "a drop before the beginning": (["train.schedule={name: steps, drops: [0it]}"], "no step has"),
    "a long warm-up": (["train.schedule.warmup=200it"], "never is lr"),
    "a long period": (
        ["train.schedule={name: exponential, every: 99ep}"],
        "the rate never falls",
    ),
    "a line that rises": (["train.schedule={name: linear, to: 1.0}"], "the rate rises"),
    "evaluations after the end": (["train.evaluate=1000it"], "at its end alone"),
    "an iteration twice": (["train.accuracy_at=[1ep, 27it]"], "accuracy_at names an iteration tw"),
    "a sample of more than all": (["train.measure=99999"], "all are measured"),
    "a batch of more than all": (["train.batch=5000"], "every step sees all"),
    "a rate that is nothing": (["train.optimizer.lr=1e-30"], "no float32 weight"),
    "a rate that is too much": (["train.optimizer.lr=1e30"], "no network trains"),
    "decay of everything": (
        ["train.optimizer={name: sgd, lr: 0.1, weight_decay: 100.0}"],
        "takes away all",
    ),
    "momentum without any": (
        ["train.optimizer={name: momentum, lr: 0.1, momentum: 0.0}"],
        "that is sgd",
    ),
    "eps above all gradients": (["train.optimizer.eps=1e9"], "outweighs"),
    "small images": (["model={name: resnet-20, width: 0.125}"], "made for images of 32"),
    "a seed of nothing": (["seeds.augment=3"], "nothing is drawn by it"),
    "replicates of one run": (
        ["replicates=3", "seeds={init: 1, order: 1, split: 1}"],
        "one and the same run",
    ),
    "rewinding to nothing": (["prune.rewind=0.001ep"], "which is iteration 0"),
    "a rate of 0 beside rates": (
        ["prune={rate: 0, rates: {output: 0.1}, rounds: 2}"],
        "only output.weight is pruned",
    ),
    "more rounds than there are": (["prune.rounds=500"], "that is the last round"),
    "a rate too small": (["prune.rate=1e-9"], "after 0 rate 1e-09 removes nothing"),
    "controls of nothing": (["prune.rounds=0", "controls.reinit=1"], "nothing is pruned here"),
    "a density of all": (["prune={algorithm: one-shot, densities: [1, 0.5]}"], "keeps all"),
    "rounds of one-shot": (
        ["prune={algorithm: one-shot, densities: [0.5], rounds: 3}"],
        "goes by prune.densities",
    ),
    "densities of rounds": (["prune={densities: [0.5], rounds: 2}"], "for algorithm: one-shot"),
    "two densities that are one": (
        ["prune={algorithm: one-shot, densities: [0.3, 0.300001]}"],
        "they are one run",
    ),
    "rewinding that nobody does": ([*COMPARE, "prune.rewind=5it"], "no method goes by it"),
    "a scope of searches": (
        ["prune={}", "compare={methods: [edge-popup], scope: er}"],
        "go by their own rates",
    ),
    "a comparison at all weights": ([*COMPARE, "compare.densities=[1, 0.5]"], "keeps all weights"),
    "updates after the end": (
        ["prune={}", "compare.methods=[{name: rigl, every: 300it}]"],
        "does not change on the way",
    ),
}


@pytest.mark.parametrize(("overrides", "told"), TOLD.values(), ids=TOLD)
def test_what_has_no_effect_is_told(overrides: list[str], told: str) -> None:
    assert told in doubts(*overrides)


REFUSED = {
    "steps for ever": "train.steps=100000000000000000000it",
    "epochs for ever": "train.steps=999999999999ep",
    "no steps": "train.steps=0it",
    "no layers": "model.hidden=[]",
    "nothing removed": "prune={rate: 0}",
    "nothing removed anywhere": "prune={rate: 0, rates: {output: 0}}",
    "no densities": "prune={algorithm: one-shot, densities: []}",
    "a density twice": "prune={algorithm: one-shot, densities: [0.5, 0.5]}",
    "no densities to compare": "compare={methods: [snip], densities: []}",
    "a density to compare twice": "compare={methods: [snip], densities: [0.2, 0.2]}",
    "no methods": "compare={methods: []}",
    "a method twice": "compare={methods: [snip, snip]}",
    "no densities at once": "controls={one-shot: []}",
    "a density at once twice": "controls={one-shot: [0.2, 0.2]}",
    "draws of what is not there": "controls={one-shot-reinit: 3}",
    "densities of no orders": "controls={order-densities: [0.5]}",
    "an order's density twice": "controls={order: 1, order-densities: [0.5, 0.5]}",
    "rewinding after the end": "prune.rewind=300it",
    "rewinding at the end": "prune.rewind=200it",
    "an accuracy after the end": "train.accuracy_at=[300it]",
    "an accuracy before the first step": "train.accuracy_at=[0it]",
    "validation after the end": "train.validation_at=[300it]",
    "momentum of adam": "train.optimizer.momentum=0.9",
    "nesterov without momentum": "train.optimizer={name: nesterov, lr: 0.1, momentum: 0.0}",
    "a factor of nothing": "train.schedule={name: cosine, factor: 0.5}",
    "a drop twice": "train.schedule={name: steps, drops: [50it, 50it]}",
    "drops of a cosine": "train.schedule={name: cosine, drops: [50it]}",
    "no replicates": "replicates=0",
    "a batch of all that is dropped": "train={steps: 9it, batch: 5000, last_batch: drop, "
    "optimizer: {name: sgd, lr: 0.1}}",
    "images of masks": "analyses=[{name: layer_densities, split: test}]",
    "images that are huge": "data.size=1000000000",
    "a seed of 99 digits": f"seeds.init={'9' * 99}",
    "noise above all numbers": "controls={noise: [1e308]}",
    "weights above all numbers": "model.init={name: normal, std: 1e300}",
    "a billion bins": "analyses=[{name: histograms, options: {bins: 1000000000}}]",
    "a billion rounds of scoring": "compare={methods: [{name: snip, rounds: 1000000000}]}",
    "a power that is a word": "compare={methods: [{name: data-dependent, power: x}]}",
    "a criterion that is a list": "compare={methods: [{name: imp, criterion: [1]}]}",
    "a criterion that is a number": "compare={methods: [{name: imp, criterion: 3}]}",
    "layers that are a number": "compare={methods: [{name: imp, ignore: 3}]}",
    "a threshold without end": "compare={methods: [{name: dsr, threshold: .inf}]}",
    "a probability that is a list": "compare={methods: [{name: supermask, probability: [1]}]}",
    "a label of two lines": 'compare={methods: [{name: snip, label: "a\\nb"}]}',
}  # fmt: skip


@pytest.mark.parametrize("override", REFUSED.values(), ids=REFUSED)
def test_what_means_nothing_is_refused(override: str) -> None:
    written = with_overrides({k: v for k, v in BASE.items() if k != "prune"}, [override])
    with pytest.raises(UserError):
        expand_lines("here", check_recipe(written, "here"), SOURCES)


def test_nothing_is_told_of_a_plain_recipe_nor_of_one_that_is_only_short() -> None:
    assert doubts() == ""
    assert doubts("train.steps=20it") == ""  # evaluate: 100it is the default, nobody's choice


@pytest.mark.slow
def test_nothing_is_told_of_a_shipped_recipe_at_any_scale(tmp_path) -> None:
    store = Store(tmp_path)
    for name in shipped():
        for scale in SCALES:
            if has_scale(name, scale):
                recipe = load_recipe(name, scale=scale)
                planned = expand_lines(name, recipe, find_sources_offline(recipe, store)[0])
                assert doubts_in(planned) == (), (name, scale)


def test_lines_are_named() -> None:
    said = doubts("lines={a: {train.evaluate: 1000it}, b: {train.steps: 100it}}")
    assert said.startswith("line a: train.evaluate is 1000it")


def test_python_is_warned_and_the_run_goes_on(tmp_path) -> None:
    recipe = BASE | {"prune": {"rounds": 0}, "train": BASE["train"] | {"evaluate": "1000it"}}
    with pytest.warns(OptionWarning, match=r"evaluate is 1000it"):
        assert wn.run(recipe, store=tmp_path, jobs=1).rows is not None
