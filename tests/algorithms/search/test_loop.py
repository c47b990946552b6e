"""``wn.search``: mask search in plain torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from dynamic_jobs import dense_state
from dynamic_jobs import job as little_job
from search_jobs import run_search
from torch import nn

import winnow as wn
from winnow.algorithms.search import SEARCH_METHODS, make_search
from winnow.algorithms.search.driven import start_search
from winnow.engine.dense import DenseEngine
from winnow.engine.feed import Feed
from winnow.engine.search import mask_of
from winnow.pruning import LayerCollapse
from winnow.reparametrisation import SCORES
from winnow.state import load_weights


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(96, 20), nn.ReLU(), nn.Linear(20, 3),
    )  # fmt: skip


def batches(count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    xs = torch.randn(count, 16, 1, 4, 4, generator=generator)
    return [(x, x.mean((1, 2, 3)).argsort().argsort() % 3) for x in xs]


def found(model: nn.Module, method: str = "jackpot", **changes: Any) -> wn.Mask:
    usual: dict[str, Any] = {"density": 0.2, "loader": batches(), "steps": "4it"}
    return wn.search(model, method, loss_fn=F.cross_entropy, **{**usual, **changes})


@pytest.mark.parametrize("method", SEARCH_METHODS)
def test_parameters_gradients_and_modes_are_as_before(method: str) -> None:
    model = network()
    model[1].eval()
    model[7].bias.requires_grad_(False)
    model[5].weight.grad = torch.ones_like(model[5].weight)
    before = copy.deepcopy(model)
    mask = found(model, method)
    for (name, mine), theirs in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(mine.view(torch.int32), theirs.view(torch.int32)), name
        assert mine.requires_grad == theirs.requires_grad
        assert (mine.grad is None) == (name != "5.weight")
    assert torch.equal(model[5].weight.grad, torch.ones(20, 96))
    modes = [
        (a.training, b.training) for a, b in zip(model.modules(), before.modules(), strict=True)
    ]
    assert all(a == b for a, b in modes)
    counts = {"0.weight": 54, "5.weight": 1920, "7.weight": 60}
    if method == "jackpot":
        counts.pop("7.weight")
        assert mask.kept == round(0.2 * sum(counts.values()))
    else:
        assert mask.kept_per_layer == {name: round(0.2 * n) for name, n in counts.items()}
    assert set(mask) == set(counts)


def test_statistics_are_those_of_the_search_unless_fixed() -> None:
    one, two = network(), network()
    found(one)
    found(two, statistics="fixed")
    fresh = network()
    assert one[1].num_batches_tracked == 4
    assert not torch.equal(one[1].running_mean, fresh[1].running_mean)
    assert torch.equal(two[1].running_mean, fresh[1].running_mean)


@pytest.mark.parametrize("method", SEARCH_METHODS)
def test_the_loop_is_the_engines_search(method: str) -> None:
    job = little_job(
        {**SEARCH_METHODS[method].optimizer}, schedule=SEARCH_METHODS[method].schedule, steps=12
    )
    chosen = make_search(method, density=0.3)
    sought, state = start_search(chosen, job, dense_state(job), seed=3)
    after = run_search(DenseEngine("cpu"), sought, state)
    assert sought.search is not None
    model = job.build()
    load_weights(model, dense_state(job))
    feed = Feed(job, torch.device("cpu"))
    mask = found(
        model, method, density=0.3, loader=[feed.batch(k) for k in range(12)], steps="1ep", seed=3
    )
    assert mask == mask_of(sought.search, after.extras[SCORES])
    assert mask != mask_of(sought.search, state.extras[SCORES])


def test_steps_epochs_and_loaders() -> None:
    assert found(network(), steps="1ep") == found(network(), steps="3it")
    assert found(network(), steps="2ep", per_epoch=3) == found(network(), steps="6it")

    def once() -> Iterator[Any]:
        yield from batches()

    assert found(network(), loader=once(), steps="3it") == found(network(), steps="3it")
    with pytest.raises(wn.UserError, match="read only once"):
        found(network(), loader=once(), steps="4it")
    with pytest.raises(wn.UserError, match="pass per_epoch="):
        found(network(), loader=once(), steps="1ep")


def test_options_of_the_training() -> None:
    still = found(network(), lr=0.0)
    weights = dict(network().named_parameters())
    assert still == wn.prune({n: weights[n].abs() for n in ("0.weight", "5.weight")}, density=0.2)
    assert found(network(), lr=10.0) != still
    with pytest.raises(wn.UserError, match="lr=-1"):
        found(network(), lr=-1)


def test_starts_that_need_data_score_the_first_batch_unless_given_one() -> None:
    options: dict[str, Any] = {"start": "snip", "lr": 0.0}
    assert found(network(), **options) == found(network(), batch=batches()[0], **options)
    assert found(network(), **options) != found(network(), batch=batches()[2], **options)


def test_what_competes_and_a_given_mask() -> None:
    assert set(found(network(), ignore=["first", "output"])) == {"5.weight"}
    assert set(found(network(), ignore=[])) == {"0.weight", "5.weight", "7.weight"}
    given = found(network(), start="random", seed=5)
    assert found(network(), mask=given, density=None, lr=0.0) == given
    with pytest.raises(wn.UserError, match=r"the mask given lacks '7\.weight'"):
        found(network(), mask=given, density=None, ignore=[])
    with pytest.raises(wn.UserError, match=r"covers '0\.weight', which stays dense"):
        found(network(), mask=given, density=None, ignore=["first", "output"])


def test_a_layer_that_loses_all_its_weights_is_told() -> None:
    model = network()
    with torch.no_grad():
        model[0].weight.mul_(1e-6)
    with pytest.warns(LayerCollapse, match=r"no weight is left in 0\.weight"):
        assert found(model)["0.weight"].sum() == 0


def test_a_search_that_diverges_leaves_the_model_as_it_was() -> None:
    model, before = network(), network()
    spoilt = [*batches(2), (torch.full((16, 1, 4, 4), torch.nan), torch.zeros(16).long())]
    with pytest.raises(wn.UserError, match="diverged at iteration 3"):
        found(model, loader=spoilt, steps="3it")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before.state_dict()[name]), name


def test_the_same_seed_finds_the_same_mask() -> None:
    masks = []
    for state, seed in [(1, 0), (2, 0), (1, 1)]:
        model = network()[5:]
        torch.manual_seed(state)
        data = [(x.flatten(1).repeat(1, 6), y) for x, y in batches()]
        masks.append(found(model, "supermask", density=None, loader=data, seed=seed))
    assert masks[0] == masks[1]
    assert masks[0] != masks[2]
    assert 0.3 < masks[0].density < 0.7


@pytest.mark.parametrize("method", SEARCH_METHODS)
def test_half_precision_weights_have_scores_in_full(method: str) -> None:
    model = network()[5:].bfloat16()
    before = copy.deepcopy(model)
    data = [(x.flatten(1).repeat(1, 6).bfloat16(), y) for x, y in batches()]
    mask = found(model, method, loader=data, ignore=[])
    assert mask.kept == (396 if method == "jackpot" else 384 + 12)
    assert torch.equal(model[0].weight, before[0].weight)
