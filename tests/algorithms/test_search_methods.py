"""Mask search: where scores start, how many each layer keeps, and what an engine makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from dynamic_jobs import job as little_job

from winnow import score
from winnow.algorithms.dynamic import make as make_dynamic
from winnow.algorithms.dynamic.driven import Driven
from winnow.algorithms.search import make
from winnow.algorithms.search.driven import resuming, search, settled, starting
from winnow.algorithms.search.layers import counts_of
from winnow.data import load
from winnow.engine.base import Job, Split, TrainingData
from winnow.engine.dense import DenseEngine
from winnow.engine.feed import Feed
from winnow.engine.search import mask_of
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.pruning import prune, prune_to
from winnow.reparametrisation import SCORES
from winnow.state import State, fresh_state, load_weights

HIDDEN = ["hidden.0.weight", "hidden.1.weight"]
ALL = [*HIDDEN, "output.weight"]
COSINE = {"name": "cosine", "drops": [], "factor": None, "warmup": 0}


def dense(job: Job) -> State:
    model = job.build()
    initialise(model, "glorot-normal", 7)
    return fresh_state(model)


def begun(name: str = "jackpot", mask: Mask | None = None, **options: Any) -> tuple[Job, State]:
    job = little_job()
    return starting(make(name, **options), job, dense(job), seed=3, mask=mask)


def first_mask(job: Job, state: State) -> Mask:
    assert job.search is not None
    return mask_of(job.search, state.extras[SCORES])


def best(criterion: str, counts: dict[str, int], batch: Any, **options: Any) -> Mask:
    job = little_job()
    model = job.build()
    load_weights(model, dense(job))
    scores = score(model, criterion, batch=batch, loss_fn=F.cross_entropy, params=HIDDEN, **options)
    return prune_to(scores, counts)


def test_a_magnitude_start_is_the_global_magnitude_mask() -> None:
    job, state = begun(density=0.3)
    weights = {name: state.weights[name].abs() for name in HIDDEN}
    assert first_mask(job, state) == prune(weights, density=0.3)
    for scores in state.extras[SCORES].values():
        assert set(scores.unique().tolist()) == {torch.tensor(0.95).item(), 1.0}
    later = begun(density=0.3, removed=0.99)[1].extras[SCORES]["hidden.0.weight"]
    assert later.min() == torch.tensor(0.99)


@pytest.mark.parametrize(("criterion", "options"), [("snip", {}), ("grasp", {"temperature": 1.0})])
def test_warm_starts_are_the_layers_best_by_the_criterion(
    criterion: str, options: dict[str, Any]
) -> None:
    job = little_job()
    x, y = Feed(job, torch.device("cpu")).batch(0)
    method = make("jackpot", density=0.3, start=criterion)
    sought, state = starting(method, job, dense(job), seed=3, batch=(x, y))
    counts = counts_of({n: state.weights[n] for n in HIDDEN}, 0.3, "magnitude")
    assert first_mask(sought, state) == best(criterion, counts, (x, y), **options)
    assert first_mask(sought, state) != first_mask(*begun(density=0.3))


def test_a_start_that_needs_data_takes_training_images_by_the_seed() -> None:
    masks = [first_mask(*begun(density=0.3, start="snip")) for _ in range(2)]
    assert masks[0] == masks[1]
    job, state = begun(density=0.3, start="snip")  # 47 training images: all of them
    x, y = job.data.splits["train"].take(torch.arange(47))
    batch = (Feed(job, torch.device("cpu")).normalised(x), y)
    counts = counts_of({n: state.weights[n] for n in HIDDEN}, 0.3, "magnitude")
    assert first_mask(job, state).agreement(best("snip", counts, batch)) > 0.98


def test_a_given_mask_is_where_the_search_starts_and_gives_the_counts() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = Mask(
        {
            "hidden.0.weight": torch.rand(12, 16, generator=generator) < 0.4,
            "hidden.1.weight": torch.rand(8, 12, generator=generator) < 0.2,
        }
    )
    job, state = begun(mask=mask)
    assert first_mask(job, state) == mask
    assert job.search is not None
    assert job.search.keep == mask.kept_per_layer
    begun(mask=mask, density=mask.density)
    with pytest.raises(UserError, match=r"but density=0\.9 asks for"):
        begun(mask=mask, density=0.9)
    with pytest.raises(UserError, match=r"needs density=, e\.g\. 0\.1, or a mask"):
        begun()
    with pytest.raises(UserError, match="edge-popup starts from random scores"):
        begun("edge-popup", mask=mask, density=0.5)


def test_a_random_start_is_uniform_and_depends_on_the_seed_only() -> None:
    job = little_job(shape=(1, 20, 20))
    values = []
    for seed in (3, 3, 4):
        method = make("jackpot", density=0.3, start="random")
        values.append(
            starting(method, job, dense(job), seed=seed)[1].extras[SCORES]["hidden.0.weight"]
        )
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    assert 0 <= values[0].min() < 0.01
    assert 0.99 < values[0].max() < 1
    assert values[0].mean().item() == pytest.approx(0.5, abs=0.02)


def test_edge_popup_starts_as_kaiming_uniform_and_keeps_each_layers_density() -> None:
    job, state = begun("edge-popup", density=0.3)
    assert job.search is not None
    assert job.search.absolute
    assert job.search.keep == {name: round(0.3 * state.weights[name].numel()) for name in ALL}
    for name in ALL:
        scores, fan_in = state.extras[SCORES][name], state.weights[name].shape[1]
        theirs = torch.empty_like(scores)
        torch.nn.init.kaiming_uniform_(
            theirs, a=math.sqrt(5), generator=torch.Generator().manual_seed(0)
        )
        bound = 1 / math.sqrt(fan_in)
        assert 0.9 * bound < scores.abs().max() <= bound
        assert scores.std().item() == pytest.approx(theirs.std().item(), rel=0.25)


def test_supermasks_start_at_their_probability() -> None:
    job, state = begun("supermask", probability=0.8, rescale=True)
    assert job.search is not None
    assert (job.search.rule, job.search.keep, job.search.rescale) == ("bernoulli", None, True)
    for scores in state.extras[SCORES].values():
        torch.testing.assert_close(torch.sigmoid(scores), torch.full_like(scores, 0.8))
    exact, _ = begun("supermask", density=0.25)
    assert exact.search is not None
    assert exact.search.keep == {"hidden.0.weight": 48, "hidden.1.weight": 24, "output.weight": 20}


def test_layer_counts() -> None:
    weights = {
        "a": torch.tensor([[1.0, -9.0, 8.0, 0.5]]),
        "b": torch.tensor([[7.0, 0.1, -6.0, 0.2, 0.3, 0.4]]),
    }
    assert counts_of(weights, 0.4, "magnitude") == {"a": 2, "b": 2}
    assert counts_of(weights, 0.5, "layer") == {"a": 2, "b": 3}
    assert sum(counts_of(weights, 0.3, "uniform").values()) == 3
    with pytest.raises(UserError, match="keeps none of 10 weights"):
        counts_of(weights, 0.01, "magnitude")


def test_which_layers_compete() -> None:
    assert list(begun(density=0.3)[1].extras[SCORES]) == HIDDEN
    assert list(begun("edge-popup", density=0.3)[1].extras[SCORES]) == ALL
    job = little_job()
    chosen = starting(make("jackpot", density=0.3), job, dense(job), seed=3, names=ALL[1:])
    assert list(chosen[1].extras[SCORES]) == ALL[1:]
    with pytest.raises(UserError, match=r"no weight 'hidden\.9\.weight'"):
        starting(make("jackpot", density=0.3), job, dense(job), seed=3, names=["hidden.9.weight"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jackpots", {"density": 0.1}, "Did you mean 'jackpot'"),
        ("jackpot", {"density": 0.1, "strat": "snip"}, "Did you mean 'start'"),
        ("jackpot", {"density": 0.1, "start": "snipe"}, "Did you mean 'snip'"),
        ("jackpot", {"density": 2}, "density is 2"),
        ("jackpot", {"density": 0.1, "removed": 1.5}, "removed is 1.5"),
        ("jackpot", {"density": 0.1, "rates": "global"}, "layer rates"),
        ("jackpot", {"density": 0.1, "statistics": "frozen"}, "choose 'updated' or 'fixed'"),
        ("edge-popup", {}, "edge-popup needs density="),
        ("supermask", {"probability": 1}, "probability is 1"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(name, **options)


def test_dynamic_methods_refuse_a_job_in_search() -> None:
    job, _ = begun(density=0.3)
    driven = Driven(DenseEngine("cpu"), make_dynamic("set", density=0.3), 0)
    assert "mask search" in str(driven.refuses(job))


def test_a_search_then_fine_tuning() -> None:
    engine = DenseEngine("cpu")
    job, state = begun(density=0.3)
    after = search(engine, job, state)
    assert job.search is not None
    plainly, ticket = settled(job, after)
    assert ticket.mask is not None
    assert ticket.mask.kept_per_layer == job.search.keep
    plain = engine.open(plainly, replace(ticket, step=0))
    plain.advance(10)
    tuned = plain.state()
    for name, keep in ticket.mask.items():
        assert (tuned.weights[name][~keep] == 0).all()
        assert not torch.equal(tuned.weights[name], ticket.weights[name])


@pytest.mark.parametrize("name", ["edge-popup", "supermask", "jackpot"])
def test_the_job_of_a_search_follows_from_any_of_its_states(name: str) -> None:
    method = make(name, density=0.3, **({"start": "grasp"} if name == "jackpot" else {}))
    job = little_job()
    sought, state = starting(method, job, dense(job), seed=3)
    half = search(DenseEngine("cpu"), sought, state, to=5)
    assert half.step == 5
    assert resuming(method, job, half, seed=3).search == sought.search


def test_without_a_search_nothing_is_to_settle() -> None:
    job = little_job()
    state = dense(job)
    assert settled(job, state) == (job, state)


def digits(method: Any, hidden: list[int], steps: int) -> Job:
    images = load("digits")
    splits = {
        "train": Split(images.train_x, images.train_y, torch.arange(len(images.train_y))),
        "test": Split(images.test_x, images.test_y, torch.arange(len(images.test_y))),
    }
    return Job(
        build=lambda: build("lenet-300-100", inputs=(1, 8, 8), classes=10, hidden=hidden),
        data=TrainingData(splits, images.mean, images.std),
        steps=steps,
        batch=60,
        last_batch="drop",
        optimizer=method.optimizer,
        schedule=method.schedule,
        seeds={"order": 1, "augment": 2, "dropout": 3},
    )


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("edge-popup", {"density": 0.5}, 0.85),
        ("supermask", {}, 0.7),
        ("supermask", {"rescale": True}, 0.8),
    ],
)
def test_a_wide_random_network_holds_one_that_works_untrained(
    name: str, options: dict[str, Any], least: float
) -> None:
    method = make(name, **options)
    job = digits(method, [300, 100], 300)
    model = job.build()
    initialise(model, "signed-kaiming", 5, kept=0.5)
    sought, state = starting(method, job, fresh_state(model), seed=6)
    engine = DenseEngine("cpu")
    before = engine.open(sought, state).evaluate("test").accuracy
    session = engine.open(sought, state)
    session.advance(300)
    after = session.evaluate("test").accuracy
    assert before < 0.4
    assert after > least


def test_a_jackpot_beats_the_magnitude_mask_that_it_starts_from() -> None:
    method = make("jackpot", density=0.1)
    adam = {"name": "adam", "lr": 1e-3, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8}
    job = digits(method, [100, 50], 200)
    engine = DenseEngine("cpu")
    model = job.build()
    initialise(model, "glorot-normal", 5)
    training = engine.open(replace(job, optimizer=adam), fresh_state(model))
    training.advance(200)
    trained = replace(training.state(), step=0)
    sought, state = starting(method, job, trained, seed=6)
    session = engine.open(sought, state)
    before = session.evaluate("test").accuracy
    session.advance(200)
    after = session.evaluate("test").accuracy
    assert after > before + 0.1
    assert after > 0.85
