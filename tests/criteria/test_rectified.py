"""Rectified outputs are not kept, and derivatives are those of a graph that keeps them."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from differentiated import assert_same, product
from torch import Tensor, nn

from winnow.criteria.second import differentiated_twice

Rest = Callable[["Block", Tensor], Tensor]


class Block(nn.Module):
    """A convolution and its normalisation; what follows is given."""

    def __init__(self, rest: Rest) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(4)
            self.second = nn.Conv2d(4, 4, 3, padding=1)
            self.third = nn.Conv2d(4, 3, 1)
            nn.init.normal_(self.norm.weight), nn.init.normal_(self.norm.bias)
            nn.init.normal_(self.norm.running_mean), nn.init.uniform_(self.norm.running_var, 0.5, 1)
        self.norm.requires_grad_(False)
        self.norm.momentum = 0.0  # both sides see the same statistics
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        out = self.rest(self, self.norm(self.first(x))).flatten(1).mean(1)
        used = [*self.second.parameters(), *self.third.parameters()]  # whatever the rest does
        return out + sum(((p**3).sum() for p in used), torch.zeros(()).to(out))


def plain(net: Block, y: Tensor) -> Tensor:
    return net.third(net.second(F.relu(y)))


def method(net: Block, y: Tensor) -> Tensor:
    return net.second(y.relu())


def pooled(net: Block, y: Tensor) -> Tensor:
    return net.third(F.max_pool2d(torch.relu(y), 2))


def two_users(net: Block, y: Tensor) -> Tensor:
    z = F.relu(y)
    return net.third(net.second(z) + z) + net.third(z)


def nested(net: Block, y: Tensor) -> Tensor:
    """One z is computed again while another one is in use."""
    z = F.relu(y)
    return net.third(F.relu(net.norm(net.second(z)))) + net.third(z)


def without_relu(net: Block, y: Tensor) -> Tensor:
    return net.third(net.second(y))


def in_place_relu(net: Block, y: Tensor) -> Tensor:
    return net.second(F.relu(y, inplace=True))


def shortcut_before(net: Block, y: Tensor) -> Tensor:
    y += 0.3 * torch.ones_like(y)  # y is no longer what the normalisation gave
    return net.second(F.relu(y))


def a_view(net: Block, y: Tensor) -> Tensor:
    return net.second(F.relu(y)[:, :, 1:, 1:])


def as_matrix(_: Block, y: Tensor) -> Tensor:
    return F.relu(y).flatten(1).sin()


RESTS = [plain, method, pooled, two_users, nested, without_relu, in_place_relu, shortcut_before,
         a_view, as_matrix]  # fmt: skip


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("train", [True, False])
def test_derivatives_are_those_of_a_graph_that_keeps_everything(rest: Rest, train: bool) -> None:
    x = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_same(Block(rest).double().train(train), x)


def test_what_is_written_to_afterwards_is_another_tensor() -> None:
    """torch's own ReLU refuses this; here it needs what it gave no more."""

    def changed(net: Block, y: Tensor) -> Tensor:
        z = F.relu(y)
        z += 0.5
        return net.second(z)

    x = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    nets = [Block(changed).double(), Block(lambda net, y: net.second(F.relu(y) + 0.5)).double()]
    weights = [[p for p in net.parameters() if p.requires_grad] for net in nets]
    mine = product(nets[0], x, weights[0], fast=True)
    theirs = product(nets[1], x, weights[1], fast=False)
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("rest", [plain, pooled])
def test_no_graph_keeps_them(rest: Rest, train: bool) -> None:
    seen: list[weakref.ref[Tensor]] = []

    def watched(net: Block, y: Tensor) -> Tensor:
        z = F.relu(y)
        seen.append(weakref.ref(z))
        return net.third(F.max_pool2d(z, 2) if rest is pooled else z)

    net, x = Block(watched).train(train), torch.randn(3, 2, 6, 6)
    kept = []
    for context in (differentiated_twice(), contextlib.nullcontext()):
        with context:
            loss = net(x).sum()
            torch.autograd.grad(loss, net.first.weight, create_graph=True)
        kept.append(seen.pop()() is not None)
    assert kept == [False, True]


def test_dead_and_constant_channels() -> None:
    """Where z is 0 or constant to the bit, nothing flows, or what flows in torch's own graph."""
    net = Block(plain).double()
    with torch.no_grad():
        net.first.weight[1] = 0
        net.norm.bias[1] = 0.0  # y is 0 throughout
        net.norm.bias[2] = -50.0  # never positive
    assert_same(net, torch.randn(3, 2, 6, 6, dtype=torch.float64))
