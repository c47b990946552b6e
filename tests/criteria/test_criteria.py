"""The criteria of the table: magnitude and random."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow.criteria import CRITERIA, get_criterion
from winnow.errors import UserError


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(40, 30), nn.Conv1d(3, 4, 5))


def test_the_table() -> None:
    assert set(CRITERIA) >= {"magnitude", "random"}
    assert get_criterion("magnitude") is CRITERIA["magnitude"]
    with pytest.raises(UserError, match=r"unknown criterion 'rando'.*'random'"):
        get_criterion("rando")


def test_magnitude_is_the_absolute_weight() -> None:
    network = model()
    scores = wn.score(network, "magnitude")
    for name, weight in (("0.weight", network[0].weight), ("1.weight", network[1].weight)):  # type: ignore[index]
        assert torch.equal(scores[name], weight.detach().abs())


def test_random_is_uniform_and_named_by_its_seed() -> None:
    network = model()
    scores = wn.score(network, "random", seed=3)
    values = scores["0.weight"]
    assert values.shape == (30, 40)
    assert 0 <= values.min() < 0.01
    assert 0.99 < values.max() <= 1
    assert values.mean().item() == pytest.approx(0.5, abs=5 / (12 * 1200) ** 0.5)
    assert torch.equal(values, wn.score(network, "random", seed=3, params="0.*")["0.weight"])
    assert not torch.equal(values, wn.score(network, "random", seed=4)["0.weight"])


def test_random_from_a_generator_moves_on() -> None:
    network, generator = model(), torch.Generator().manual_seed(5)
    first = wn.score(network, "random", generator=generator)["0.weight"]
    second = wn.score(network, "random", generator=generator)["0.weight"]
    assert not torch.equal(first, second)
    again = wn.score(network, "random", generator=torch.Generator().manual_seed(5))["0.weight"]
    assert torch.equal(first, again)


def test_random_draws_nothing_unseen() -> None:
    with pytest.raises(UserError, match="needs a seed"):
        wn.score(model(), "random")
    with pytest.raises(UserError, match="pass one of them"):
        wn.score(model(), "random", seed=1, generator=torch.Generator())


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_scores_are_the_same_where_gradients_are_switched_off(name: str, off: Any) -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(8, 6, generator=generator), torch.arange(8) % 3

    def scores() -> wn.Scores:
        options = {"seed": 2} if name == "random" else {}
        return wn.score(network, name, batch=(x, y), loss_fn=F.cross_entropy, **options)

    expected = scores()
    with off():
        found = scores()
    for weight, tensor in expected.items():
        assert torch.equal(found[weight], tensor)
