"""Which networks are chains of linear layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from winnow.engine.sparse_cpu.chain.layers import ChainLayer, chain_of
from winnow.engine.sparse_cpu.unsupported import UnsupportedError
from winnow.models import build


def test_lenet():
    model = build("lenet-300-100", inputs=(1, 4, 4), classes=10, hidden=[12, 8])
    assert chain_of(model) == [
        ChainLayer("hidden.0.weight", "hidden.0.bias", 12, 16, relu=True),
        ChainLayer("hidden.1.weight", "hidden.1.bias", 8, 12, relu=True),
        ChainLayer("output.weight", "output.bias", 10, 8, relu=False),
    ]


def test_a_sequential_network_with_whatever_does_nothing():
    parts = [nn.Flatten(), nn.Identity(), nn.Linear(4, 3, bias=False), nn.Linear(3, 3), nn.ReLU()]
    model = nn.Sequential(*parts, nn.Dropout(0.0), nn.Linear(3, 2))
    assert chain_of(model) == [
        ChainLayer("2.weight", None, 3, 4, relu=False),
        ChainLayer("3.weight", "3.bias", 3, 3, relu=True),
        ChainLayer("6.weight", "6.bias", 2, 3, relu=False),
    ]


class Free(nn.Module):
    """Two linear layers with any forward."""

    def __init__(self, forward):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.way = forward

    def forward(self, x):
        return self.way(self, x)


@pytest.mark.parametrize(
    "way",
    [
        lambda m, x: m.b(F.relu(m.a(x.flatten(1)))),
        lambda m, x: m.b(m.a(torch.flatten(x, start_dim=1)).relu()),
        lambda m, x: m.b(torch.relu(m.a(torch.flatten(x, 1)))),
    ],
)
def test_ways_to_write_it(way):
    assert [layer.relu for layer in chain_of(Free(way))] == [True, False]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (lambda m, x: m.b(m.a(x)), "does not begin by flattening"),
        (lambda m, x: m.b(m.a(x.flatten(2))), "flatten has no kernel"),
        (lambda m, x: m.b(F.relu(x.flatten(1))), "ReLU does not follow"),
        (lambda m, x: F.relu(m.b(m.a(x.flatten(1)))), "does not end with a linear layer"),
        (lambda m, x: m.a(x.flatten(1)), "b.bias belongs to no linear layer"),
        (lambda m, x: m.b(m.a(m.a(x.flatten(1)))), "used twice"),
        (lambda m, x: m.a(x.flatten(1)) + m.b(x.flatten(1)), "one operation after the other"),
        (lambda m, x: m.b(torch.tanh(m.a(x.flatten(1)))), "tanh has no kernel"),
        (lambda m, x: m.b(m.a(x.flatten(1)) * 2), "mul has no kernel"),
        (lambda m, x: m.b(x.flatten(1)) if x.sum() > 0 else x, "cannot be traced"),
    ],
)
def test_anything_else_is_refused_with_its_reason(way, reason):
    with pytest.raises(UnsupportedError, match=reason):
        chain_of(Free(way))


def changed(change) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2))
    change(model)
    return model


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.double(), "is torch.float64 or frozen"),
        (lambda m: m[1].weight.requires_grad_(False), "or frozen"),
        (lambda m: m.register_buffer("scale", torch.ones(1)), "it has a buffer, scale"),
        (lambda m: m[1].register_forward_hook(lambda *_: None), "has hooks"),
        (lambda m: m.register_forward_pre_hook(lambda *_: None), "the network has hooks"),
        (lambda m: nn.utils.parametrizations.weight_norm(m[1]), "has no kernel"),
        (lambda m: m.insert(1, nn.Dropout(0.5)), "Dropout"),
        (lambda m: m.insert(1, nn.BatchNorm1d(4)), "BatchNorm1d"),
    ],
)
def test_what_layers_may_not_have(change, reason):
    with pytest.raises(UnsupportedError, match=reason):
        chain_of(changed(change))


@pytest.mark.parametrize("name", ["conv-2", "resnet-20"])
def test_convolutions_are_refused(name):
    with pytest.raises(UnsupportedError, match="Conv2d"):
        chain_of(build(name, inputs=(3, 8, 8), classes=10))
