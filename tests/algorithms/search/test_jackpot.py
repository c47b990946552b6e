"""Where lottery jackpots start, and that they beat it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from dynamic_jobs import job as little_job
from search_jobs import HIDDEN, begun, best, dense, digits, first_mask

from winnow.algorithms.search import make_search
from winnow.algorithms.search.driven import start_search
from winnow.algorithms.search.layers import counts_of
from winnow.engine.dense import DenseEngine
from winnow.engine.feed import Feed
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.models.initialise import initialise
from winnow.pruning import prune
from winnow.reparametrisation import SCORES
from winnow.state import fresh_state


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
    method = make_search("jackpot", density=0.3, start=criterion)
    sought, state = start_search(method, job, dense(job), seed=3, batch=(x, y))
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
        method = make_search("jackpot", density=0.3, start="random")
        values.append(
            start_search(method, job, dense(job), seed=seed)[1].extras[SCORES]["hidden.0.weight"]
        )
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    assert 0 <= values[0].min() < 0.01
    assert 0.99 < values[0].max() < 1
    assert values[0].mean().item() == pytest.approx(0.5, abs=0.02)


def test_a_jackpot_beats_the_magnitude_mask_that_it_starts_from() -> None:
    method = make_search("jackpot", density=0.1)
    adam = {"name": "adam", "lr": 1e-3, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8}
    job = digits(method, [100, 50], 200)
    engine = DenseEngine("cpu")
    model = job.build()
    initialise(model, "glorot-normal", 5)
    training = engine.open(replace(job, optimizer=adam), fresh_state(model))
    training.advance(200)
    trained = replace(training.state(), step=0)
    sought, state = start_search(method, job, trained, seed=6)
    session = engine.open(sought, state)
    before = session.evaluate("test").accuracy
    session.advance(200)
    after = session.evaluate("test").accuracy
    assert after > before + 0.1
    assert after > 0.85
