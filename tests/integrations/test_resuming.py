"""Weights and slots outlast what a method does to them when it begins."""

from __future__ import annotations

import torch
from torch import nn

from winnow.integrations.resuming import kept_aside


def test_weights_and_slots_are_put_back():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    weights = {"weight": model.weight}
    slot = optimizer.state[model.weight]["exp_avg"]
    before, held = model.weight.detach().clone(), slot.clone()
    with kept_aside(weights, optimizer), torch.no_grad():
        model.weight.zero_()
        slot.zero_()
    assert torch.equal(model.weight, before)
    assert torch.equal(slot, held)
    with kept_aside(weights, None), torch.no_grad():
        model.weight.zero_()
    assert not model.weight.any()
