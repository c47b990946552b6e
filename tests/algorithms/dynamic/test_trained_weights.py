"""What a method sees of the weights that a loop trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from winnow.algorithms.dynamic.trained_weights import TrainedWeights
from winnow.errors import UserError
from winnow.mask import Mask


def weights_of(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.dim() > 1}


def test_values_gradients_and_momenta() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    named = weights_of(model)
    weights = TrainedWeights(named, [optimizer])
    with pytest.raises(UserError, match=r"'0\.weight' has no gradient for rigl at iteration 3"):
        weights.gradient("rigl at iteration 3")
    assert not any(m.any() for m in weights.momentum().values())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    mask = Mask({name: weight.detach() > 0 for name, weight in named.items()})
    for name, weight in named.items():
        assert torch.equal(weights.values()[name], weight)
        assert torch.equal(weights.kept(mask)[name], weight.detach()[mask[name]])
        assert weight.grad is not None
        assert torch.equal(weights.gradient("")[name], weight.grad)
        assert torch.equal(weights.momentum()[name], weight.grad)  # the first momentum


def test_writing() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    weights = TrainedWeights(weights_of(model), [torch.optim.SGD(model.parameters(), lr=0.1)])
    where = torch.tensor([[True, False], [False, True]])
    before = model[0].weight.detach().clone()
    with torch.no_grad():
        weights.write("0.weight", where, torch.tensor([7.0, 8.0]))
        expected = torch.where(where, torch.tensor([[7.0, 0.0], [0.0, 8.0]]), before)
        assert torch.equal(model[0].weight, expected)
        weights.perturb(Mask({"0.weight": where}), lambda name, kept: kept + len(name))
        assert torch.equal(model[0].weight, expected + 8 * where)


def test_the_rate_is_that_of_the_weights_also_after_a_state_was_loaded() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    groups = [
        {"params": [model[0].bias], "lr": 1.0, "momentum": 0.0},
        {"params": [model[0].weight], "lr": 0.5, "momentum": 0.9},
    ]
    optimizer = torch.optim.SGD(groups)
    weights = TrainedWeights(weights_of(model), [optimizer])
    assert weights.rate() == 0.5
    assert weights.have_momentum()
    state = optimizer.state_dict()
    state["param_groups"][1] |= {"lr": 0.25, "momentum": 0.0}
    optimizer.load_state_dict(state)
    assert weights.rate() == 0.25
    assert not weights.have_momentum()
