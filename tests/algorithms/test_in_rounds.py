"""Pruning after training in rounds: exact counts, the surgeon between them, against one round."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow import rng
from winnow.algorithms.in_rounds import prune_in_rounds
from winnow.algorithms.surgeon import operate
from winnow.mask import Mask

CE = F.cross_entropy


@pytest.fixture(scope="module")
def task() -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """A trained network of redundant units, and its data: the class is the largest of 3 inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 8, generator=generator).double()
    y = x[:, :3].argmax(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        CE(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.state_dict(), (x, y)


def network() -> nn.Sequential:
    layers = (nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 15), nn.ReLU(), nn.Linear(15, 3))
    return nn.Sequential(*layers).double()


def loaded(task: Any) -> tuple[nn.Sequential, dict[str, Any], Mask]:
    model = network()
    model.load_state_dict(task[0])
    model.eval()
    dense = Mask.dense({f"{i}.weight": model[i].weight for i in (0, 2, 4)})
    return model, {"loader": [task[1]], "loss_fn": CE}, dense


def test_one_round_is_to_score_to_prune_and_to_operate(task: Any) -> None:
    model, data, dense = loaded(task)
    mask = prune_in_rounds(model, "mlprune", 200, dense, damping=0.3, **data)
    other, _, _ = loaded(task)
    scores = wn.score(other, "mlprune", damping=0.3, **data)
    assert mask == wn.prune(scores, density=200 / dense.size)
    operate(other, mask, "mlprune", damping=0.3, **data)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_each_round_prunes_what_the_round_before_left(task: Any) -> None:
    """Slowly, by the public functions: 505 weights, 505^(2/3)·50^(1/3), 505^(1/3)·50^(2/3), 50."""
    model, data, dense = loaded(task)
    mask = prune_in_rounds(model, "mlprune", 50, dense, rounds=3, fisher="model", seed=4, **data)
    other, _, slow = loaded(task)
    assert dense.size == 505
    for k, count in ((1, 234), (2, 108), (3, 50)):
        drawn = rng.torch_generator(4, "score", k)
        scores = wn.score(other, "mlprune", mask=slow, generator=drawn, fisher="model", **data)
        slow = wn.prune(scores, density=count / 505, mask=slow)
        assert slow.kept == count
        drawn = rng.torch_generator(4, "operate", k)
        operate(other, slow, "mlprune", generator=drawn, fisher="model", **data)
    assert mask == slow
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert all(not model.get_parameter(name)[~mask[name]].any() for name in mask)


def test_rounds_harm_the_network_less(task: Any) -> None:
    x, y = task[1]
    losses = []
    for rounds in (1, 10):
        model, data, dense = loaded(task)
        mask = prune_in_rounds(model, "mlprune", 80, dense, rounds=rounds, **data)
        assert mask.kept == 80
        losses.append(float(CE(model(x), y).detach()))
    assert losses[1] < 0.2 * losses[0]


def test_counts_of_each_layer_and_other_criteria(task: Any) -> None:
    """OBD is not repaired: what stays is as it was, the rest is 0."""
    model, data, dense = loaded(task)
    keep = {"0.weight": 40, "2.weight": 300, "4.weight": 9}
    mask = prune_in_rounds(model, "obd", keep, dense, rounds=2, **data)
    assert mask.kept_per_layer == keep
    for name, value in model.state_dict().items():
        kept = mask[name] if name in mask else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(value, task[0][name] * kept)
