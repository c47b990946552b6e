"""Pruning on the way, rewound optimizers, controls: run from a recipe on digits, state by state."""

from __future__ import annotations

import pytest
import torch
import yaml

import winnow as wn
from winnow.engine.dense import DenseEngine
from winnow.errors import OptionWarning
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.train.job import initial_network, make_job, make_network
from winnow.pruning import prune_to
from winnow.state import fresh_state, load_weights

SMALL = {
    "title": "small",
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [20, 12]},
    "train": {
        "steps": "40it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "schedule": {"name": "steps", "drops": ["30it"]},
        "evaluate": "20it",
        "early_stopping": False,
    },
    "compare": {
        "densities": [1.0, 0.5, 0.1],
        "controls": {"shuffled": 2, "reinit": 1, "inverted": True},
        "methods": [
            "magnitude",
            {"name": "snip", "rounds": 2, "least": 3, "controls": {"inverted": True}},
            {"name": "one-shot", "label": "early", "train": "15it"},
            {"name": "one-shot", "label": "early-wg", "criterion": "data-dependent",
             "train": "15it"},
            {"name": "imp", "train": "20it", "rewind": "10it"},
            {"name": "one-shot", "label": "fresh", "rewind": "10it"},
            {"name": "one-shot", "label": "rewound", "rewind": "10it", "optimizer": "rewound"},
            {"name": "one-shot", "label": "on", "rewind": "none", "train": "15it",
             "fine_tune": "25it", "optimizer": "rewound"},
            {"name": "obd", "label": "tuned", "fine_tune": "12it", "optimizer": "rewound"},
            {"name": "mlprune", "label": "early-mlprune", "train": "15it", "fine_tune": "12it"},
            {"name": "one-shot", "label": "lr", "rewind": "lr", "fine_tune": "12it"},
        ],
    },
    "replicates": 1,
    "engine": "dense",
}  # fmt: skip
SIZES = {"hidden.0.weight": 64 * 20, "hidden.1.weight": 20 * 12, "output.weight": 12 * 10}
ALL = sum(SIZES.values())


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


@pytest.fixture(scope="module")
def outcome(recipe, tmp_path_factory):
    with pytest.warns(OptionWarning, match="at which every method keeps all weights"):
        return wn.run(recipe, store=tmp_path_factory.mktemp("store") / "runs", jobs=1)


@pytest.fixture(scope="module")
def found(recipe, outcome):
    """(arm, round, draw) → the stored run, the dense one as ("ticket", 0, 0)."""
    loaded = load_recipe(recipe)
    plan = expand(recipe, loaded, find_source(loaded.data.name))
    place = Store(outcome.page.parents[2])
    return {(n.arm, n.round, n.draw): place.find(n.run) for n in plan.nodes}


@pytest.fixture(scope="module")
def dense(found):
    """Step → the state of dense training there, by a session of its own."""
    run = found["ticket", 0, 0].run
    session = DenseEngine("cpu").open(make_job(run), fresh_state(initial_network(run)))
    states = {0: session.state()}
    for step in (10, 15, 20, 40):
        session.advance(step)
        states[step] = session.state()
    return states


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_all_runs_end_at_the_densities_asked_for(outcome, found):
    assert {row.status for row in outcome.results.rows} == {"done"}
    for (arm, round_, _), one in found.items():
        if arm != "ticket":
            kept = one.state("final").mask.kept
            assert kept == round((1.0, 0.5, 0.1)[round_ - 1] * ALL)


def test_where_all_weights_stay_a_rewound_optimizer_trains_the_dense_network_again(found, dense):
    """The rest of the dense training bit for bit: weights, momentum, schedule, order of data."""
    for arm in ("rewound", "on"):
        assert same(found[arm, 1, 0].state("final").weights, dense[40].weights)
    assert not same(found["fresh", 1, 0].state("final").weights, dense[40].weights)


def test_masks_on_the_way_are_those_of_the_weights_there(found, dense):
    scores = {name: dense[15].weights[name].abs() for name in SIZES}
    mask = found["early", 3, 0].state("final").mask
    assert mask == wn.prune(scores, density=0.1)
    assert mask != wn.prune({n: dense[40].weights[n].abs() for n in SIZES}, density=0.1)
    assert found["on", 3, 0].state("final").mask == mask


def test_so_are_those_of_a_criterion_with_data(found, dense):
    """Train-wg after 15 iterations, by a loop over single examples in float64."""
    run = found["ticket", 0, 0].run
    model = make_network(run)
    load_weights(model, dense[15])
    model = model.double().eval()
    split = make_job(run).data.splits["train"]
    mean, std = make_job(run).data.mean, make_job(run).data.std
    shape = (1, -1, 1, 1)
    total = {name: torch.zeros_like(model.get_parameter(name)) for name in SIZES}
    images, labels = split.take(torch.arange(len(split.index)))
    images = (images.double() - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    for x, y in zip(images.split(1), labels.split(1), strict=True):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        gradients = torch.autograd.grad(loss, [model.get_parameter(name) for name in SIZES])
        for name, gradient in zip(SIZES, gradients, strict=True):
            total[name] += gradient.abs()
    scores = {name: (model.get_parameter(name).detach() * total[name]).abs() for name in SIZES}
    expected = wn.prune(scores, density=0.1)
    mask = found["early-wg", 3, 0].state("final").mask
    assert sum(int((mask[n] ^ expected[n]).sum()) for n in SIZES) <= 2  # float32 ties


def test_rounds_of_partly_trained_networks_score_the_ticket_before(found, dense):
    first, second = found["imp", 2, 0], found["imp", 3, 0]
    state = first.state("step-20")
    assert state.step == 20
    scores = {name: state.weights[name].abs() for name in SIZES}
    expected = wn.prune(scores, density=0.1, mask=state.mask)
    assert second.state("final").mask == expected
    before = {name: dense[20].weights[name].abs() for name in SIZES}
    assert state.mask.is_subset(found["imp", 1, 0].state("final").mask)
    assert found["imp", 1, 0].run.pruning.step == 20
    assert wn.prune(before, density=1.0) == found["imp", 1, 0].state("final").mask


def test_fine_tuning_ends_when_it_should(found):
    for arm, begin in (("tuned", 40), ("early-mlprune", 15), ("lr", 28)):
        one = found[arm, 3, 0]
        assert (one.run.begin, one.state("final").step) == (begin, begin + 12)
        assert one.result.curve["steps"][-1] == begin + 12


def test_what_controls_keep_of_their_method(found):
    method = found["magnitude", 3, 0]
    mask = method.state("final").mask
    shuffled = [found["magnitude-shuffled", 3, draw].state("final").mask for draw in (1, 2)]
    for other in shuffled:
        assert other.kept_per_layer == mask.kept_per_layer
        assert other != mask
    assert shuffled[0] != shuffled[1]
    reinit = found["magnitude-reinit", 3, 1]
    assert reinit.state("final").mask == mask
    fresh, again = initial_network(method.run), initial_network(reinit.run)
    assert not same(dict(fresh.named_parameters()), dict(again.named_parameters()))
    smallest = {name: -fresh.get_parameter(name).detach().abs() for name in SIZES}
    inverted = found["magnitude-inverted", 3, 0].state("final").mask
    assert inverted == prune_to(smallest, round(0.1 * ALL))
    half = [found[arm, 2, 0].state("final").mask for arm in ("magnitude", "magnitude-inverted")]
    assert half[0].inverted() == half[1]
    assert {one.run.seeds["order"] for one in found.values()} == {0}


def test_least_holds_for_controls_too(found):
    for arm in ("snip", "snip-inverted"):
        for round_ in (1, 2, 3):
            kept = found[arm, round_, 0].state("final").mask.kept_per_layer
            assert min(kept.values()) >= 3


def test_the_report_compares_controls_with_their_methods(outcome):
    assert "Controls against their methods" in outcome.brief_verdict
    assert any(path.name.endswith("controls.png") for path in outcome.paths.figures)
    for arm in ("magnitude-shuffled", "magnitude-reinit", "snip-inverted"):
        assert arm in outcome.table
        assert f"<td>{arm}</td>" in outcome.page.read_text()
