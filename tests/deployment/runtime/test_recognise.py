"""Which operations kernels take, how they are fused, and that all others stay torch's."""

from __future__ import annotations

import pytest
import torch
from runtime.networks import check_equal, given_to, ready
from torch import nn
from torch.nn import functional

from winnow.deployment.capture import capture
from winnow.deployment.runtime.module import SparseModule
from winnow.deployment.runtime.parts import kernel_parts
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.runtime.steps import ProductStep
from winnow.deployment.simplify import simplified


class Between(nn.Module):
    """A convolution, something, and a linear layer."""

    def __init__(self, function, features: int, shape=(2, 6, 6)) -> None:
        super().__init__()
        self.function, self.shape = function, shape
        self.conv, self.last = nn.Conv2d(shape[0], 4, 3, padding=1), nn.Linear(features, 3)

    def forward(self, x):
        return self.last(self.function(self.conv(x)))


def steps_and_module(model, shape):
    torch.manual_seed(0)
    model = ready(model)
    sparse = sparse_network(simplified(capture(model, given_to([shape], 3))))
    parts = kernel_parts(sparse.network.graph, sparse.known(16))
    return model, [[type(s).__name__ for s in p.steps.steps] for p in parts], SparseModule(
        sparse, run="kernels"
    )  # fmt: skip


P, POOL, MEAN, SUM, CAT = "ProductStep", "PoolStep", "MeanStep", "SumStep", "ConcatenateStep"
F = functional
CASES = {
    "flatten": (lambda x: x.flatten(1), 144, [[P, P]]),
    "relu": (lambda x: x.relu().flatten(1), 144, [[P, P]]),
    "relu twice": (lambda x: x.relu().relu().flatten(1), 144, [[P, SUM, P]]),
    "relu and itself": (lambda x: (x.relu() + x).flatten(1), 144, [[P, SUM, SUM, P]]),
    "twice": (lambda x: (x + x).flatten(1), 144, [[P, SUM, P]]),
    "alpha": (lambda x: torch.add(x, x, alpha=2).flatten(1), 144, [[P], [P]]),
    "number": (lambda x: (x + 1).flatten(1), 144, [[P], [P]]),
    "broadcast": (lambda x: (x + x[:, :1]).flatten(1), 144, [[P], [P]]),
    "max": (lambda x: F.max_pool2d(x, 2).flatten(1), 36, [[P, POOL, P]]),
    "max, stride": (lambda x: F.max_pool2d(x, 3, 1).flatten(1), 64, [[P, POOL, P]]),
    "max, padding": (lambda x: F.max_pool2d(x, 3, 2, 1).flatten(1), 36, [[P], [P]]),
    "max of relu, padding": (
        lambda x: F.max_pool2d(x.relu(), 3, 2, 1).flatten(1), 36, [[P, POOL, P]]),
    "max, dilation": (lambda x: F.max_pool2d(x, 2, 1, 0, 2).flatten(1), 64, [[P], [P]]),
    "max, ceil": (
        lambda x: F.max_pool2d(x, 4, 3, ceil_mode=True).flatten(1), 16, [[P], [P]]),
    "average": (lambda x: F.avg_pool2d(x, 2).flatten(1), 36, [[P, POOL, P]]),
    "average, padding": (lambda x: F.avg_pool2d(x, 3, 2, 1).flatten(1), 36, [[P, POOL, P]]),
    "average without padding": (
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False).flatten(1), 36, [[P], [P]]),
    "average, divisor": (
        lambda x: F.avg_pool2d(x, 2, divisor_override=3).flatten(1), 36, [[P], [P]]),
    "average, ceil": (lambda x: F.avg_pool2d(x, 4, 3, ceil_mode=True).flatten(1), 16, [[P], [P]]),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), 4, [[P, MEAN, P]]),
    "adaptive 3": (lambda x: F.adaptive_avg_pool2d(x, 3).flatten(1), 36, [[P, POOL, P]]),
    "adaptive 4": (lambda x: F.adaptive_avg_pool2d(x, 4).flatten(1), 64, [[P], [P]]),
    "mean": (lambda x: x.mean((-1, -2)), 4, [[P, MEAN, P]]),
    "mean of channels": (lambda x: x.mean(1).flatten(1), 36, [[P], [P]]),
    "mean of rows": (lambda x: x.mean(2).flatten(1), 24, [[P], [P]]),
    "cat": (lambda x: torch.cat([x, x.relu()], 1).flatten(1), 288, [[P, SUM, CAT, P]]),
    "cat of rows": (lambda x: torch.cat([x, x], 2).flatten(1), 288, [[P], [P]]),
    "cat of the flattened": (
        lambda x: torch.cat([x.flatten(1), x.mean((2, 3))], 1), 148, None),
    "sum of the flattened": (lambda x: x.flatten(1) + x.relu().flatten(1), 144, None),
    "columns": (lambda x: x, 6, [[P]]),
    "transposed": (lambda x: x.transpose(2, 3).flatten(1), 144, [[P], [P]]),
    "unflattened": (lambda x: x.flatten(1).reshape(-1, 36, 4).mean(2), 36, None),
    "channels shuffled": (
        lambda x: x.reshape(-1, 2, 2, 6, 6).transpose(1, 2).reshape(-1, 144), 144, [[P], [P]]),
    "gelu": (lambda x: F.gelu(x).flatten(1), 144, [[P], [P]]),
    "rows as examples": (lambda x: x.reshape(-1, 6), 6, None),
}  # fmt: skip


OFTEN = (
    "relu and itself", "max, padding", "cat of the flattened", "columns", "rows as examples",
)  # fmt: skip


@pytest.mark.parametrize(
    "case", [c if c in OFTEN else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
)
def test_what_lies_between_layers(case):
    function, features, wanted = CASES[case]
    model, found, module = steps_and_module(Between(function, features), (2, 6, 6))
    assert wanted is None or found == wanted
    for count in (1, 2, 17):
        (x,) = given_to([(2, 6, 6)], count)
        check_equal(module(x), model(x))


class Residual(nn.Module):
    """Sums of products, and who has them."""

    def __init__(self, function) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.function = function

    def forward(self, x):
        return self.function(x, self)


SUMS = {
    "input": (lambda x, m: m.a(x) + x, [(True, False)]),
    "input first": (lambda x, m: x + m.a(x), [(True, False)]),
    "and ReLU": (lambda x, m: (m.a(x) + x).relu(), [(True, True)]),
    "two products": (lambda x, m: (m.a(x) + m.b(x)).relu(), [(False, False), (True, True)]),
    "of the product": (lambda x, m: m.b(y := m.a(x)) + y, [(False, False), (True, False)]),
    "after ReLU": (lambda x, m: m.a(x).relu() + x, [(False, True)]),
    "two sums": (lambda x, m: (m.a(x) + x) + m.b(x), [(True, False), (True, False)]),
    "one product twice": (lambda x, m: ((y := m.a(x)) + x) + y, [(False, False)]),
    "and returned": (lambda x, m: ((y := m.a(x)), y + x), [(False, False)]),
    "ReLU and returned": (lambda x, m: ((y := m.a(x)), y.relu()), [(False, False)]),
    "one layer twice": (
        lambda x, m: m.a(m.a(x).relu()) + x, [(False, True), (True, False)]),
    "residual made later": (
        lambda x, m: m.a(x) + m.b(x).relu(), [(False, False), (False, True)]),
}  # fmt: skip


OFTEN_SUMS = ("of the product", "one layer twice")


@pytest.mark.parametrize(
    "case", [c if c in OFTEN_SUMS else pytest.param(c, marks=pytest.mark.slow) for c in SUMS]
)
def test_sums(case):
    function, wanted = SUMS[case]
    model, _, module = steps_and_module(Residual(function), (3, 5, 7))
    (part,) = module._plans[16].parts
    products = [s for s in part.steps.steps if isinstance(s, ProductStep)]
    assert [(s.residual is not None, s.relu) for s in products] == wanted
    for count in (1, 16, 21):
        (x,) = given_to([(3, 5, 7)], count)
        check_equal(module(x), model(x))


class Norms(nn.Module):
    """Batch norms that no layer takes in, of maps and of features; and layers of odd kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False)
        self.third, self.fourth = nn.BatchNorm1d(4, eps=0.1), nn.BatchNorm1d(7)
        self.untracked = nn.BatchNorm2d(3, track_running_stats=False)
        self.a, self.b = (
            nn.Conv2d(3, 3, 3, padding="same"),
            nn.Conv2d(3, 4, 3, padding_mode="circular"),
        )
        self.c = nn.ConvTranspose2d(3, 3, 2)
        self.d, self.e = nn.Conv1d(4, 4, 3), nn.Linear(4, 4, bias=False)

    def forward(self, x):
        y = self.a(self.first(x).relu())
        z = self.second(y) + self.untracked(y)
        features = self.third(self.b(z).mean((2, 3))).relu()
        tokens = self.e(self.d(self.c(z).mean(2)[:, :1].expand(-1, 4, -1)).transpose(1, 2))
        return self.e(features), self.third(tokens.transpose(1, 2)), y


def test_norms_and_layers_of_other_kinds():
    model, _, module = steps_and_module(Norms(), (3, 5, 9))
    for count in (1, 3, 16, 40):
        (x,) = given_to([(3, 5, 9)], count)
        check_equal(module(x), model(x))
