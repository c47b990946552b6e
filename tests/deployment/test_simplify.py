"""Simpler networks: equal outputs, fewer operations, batch norms folded as in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from winnow.deployment.capture import capture
from winnow.deployment.network import Network
from winnow.deployment.simplify import arguments, set_arguments, simplified


def operations(network: Network) -> list[str]:
    """The names of what is called, without arithmetic on sizes."""
    called = [node for node in network.graph.nodes if node.op == "call_function"]
    names = [getattr(node.target, "_opname", node.target.__name__) for node in called]
    return [name for name in names if name != "sym_size"]


def assert_equal(network: Network, model: nn.Module, *given: Tensor, tolerance: float) -> None:
    with torch.no_grad():
        wanted = model.eval()(*given)
        (got,) = network.runnable()(*given)
    torch.testing.assert_close(got, wanted, rtol=0, atol=tolerance)


def trained(norm: Any, seed: int = 0) -> Any:
    """A batch norm with statistics and weights that are not those of the beginning."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*norm.parameters(), norm.running_mean):
            value.copy_(torch.randn(len(value), generator=generator))
        norm.running_var.copy_(torch.rand(len(norm.running_var), generator=generator) + 0.1)
    return norm


def test_copies_checks_and_dropouts_are_gone() -> None:
    class Copies(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = F.dropout2d(F.dropout(x.clone(), 0.5, self.training), 0.5, self.training)
            y = F.alpha_dropout(y, 0.5, self.training).contiguous().detach()
            return F.feature_alpha_dropout(y, 0.5, self.training).transpose(1, 2).flatten(2).relu()

    x = torch.randn(2, 3, 4, 5)
    network = simplified(capture(Copies().train(), x))
    assert operations(network) == ["transpose", "reshape", "relu"]
    assert_equal(network, Copies(), x, tolerance=0)


@pytest.mark.parametrize(
    ("layer", "norm", "shape", "affine", "bias"),
    [
        (nn.Conv2d, nn.BatchNorm2d, (2, 3, 4, 4), True, False),
        (nn.Conv2d, nn.BatchNorm2d, (2, 3, 4, 4), False, True),
        (nn.Conv1d, nn.BatchNorm1d, (2, 3, 4), True, True),
        (nn.Conv3d, nn.BatchNorm3d, (2, 3, 3, 3, 3), False, False),
        (nn.Linear, nn.BatchNorm1d, (2, 3), True, True),
    ],
)
def test_a_batch_norm_is_part_of_the_layer_as_float64_rounded_once(
    layer: Callable[..., nn.Module], norm: Callable[..., nn.Module], shape: tuple[int, ...],
    affine: bool, bias: bool,
) -> None:  # fmt: skip
    kernel = () if layer is nn.Linear else (3,)
    before: Any = layer(3, 5, *kernel, bias=bias)
    after: Any = trained(norm(5, affine=affine, eps=0.01))
    model = nn.Sequential(before, after).eval()
    network = simplified(capture(model, torch.randn(*shape)))
    scale = 1 / (after.running_var.double() + 0.01).sqrt()
    scale = scale * (after.weight.double() if affine else 1)
    shift = (before.bias.double() if bias else 0) - after.running_mean.double()
    shift = shift * scale + (after.bias.double() if affine else 0)
    weight = before.weight.double() * scale.view(-1, *[1] * (before.weight.dim() - 1))
    assert len(operations(network)) == 1
    assert network.constants.keys() == {"0.weight", "0.bias"}
    torch.testing.assert_close(
        network.constants["0.weight"], weight.float().detach(), rtol=1e-7, atol=0
    )
    torch.testing.assert_close(
        network.constants["0.bias"], shift.float().detach(), rtol=1e-7, atol=0
    )
    assert_equal(network, model, torch.randn(*shape), tolerance=1e-4)


class Twice(nn.Module):
    """A convolution of which two things are used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), trained(nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Shared(nn.Module):
    """A convolution with a batch norm for each of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.one, self.two = (trained(nn.BatchNorm2d(3), seed) for seed in (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.conv(self.one(self.conv(x))))


class First(nn.Module):
    """A batch norm before anything else, and one over the places of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.over = trained(nn.BatchNorm1d(4)), trained(nn.BatchNorm1d(4), 1)
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.over(self.layer(self.norm(x)))


@pytest.mark.parametrize(
    ("make", "shape", "norms"),
    [(Twice, (2, 3, 4, 4), 1), (Shared, (2, 3, 4, 4), 0), (First, (2, 4, 4), 2)],
)
def test_batch_norms_that_no_layer_can_take_stand_alone(
    make: Callable[[], nn.Module], shape: tuple[int, ...], norms: int
) -> None:
    model, x = make().eval().double(), torch.randn(*shape, dtype=torch.float64)
    network = simplified(capture(model, x))
    assert operations(network).count("batch_norm") == norms
    assert not [name for name in operations(network) if name in ("getitem", "_native_batch_norm")]
    assert_equal(network, model, x, tolerance=1e-12)


class Products(nn.Module):
    """Layers as transformers and hand-written code have them: weights (inputs, outputs)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(4))
        self.c, self.d = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addmm(self.b, x, self.a)
        y = torch.addmm(self.b, y, self.c, beta=2.0)
        y = torch.addmm(self.d, y, self.c)
        return torch.mm(y, self.c) + (y @ self.c) + y @ y.t() @ y


def test_products_with_constant_matrices_are_linear_layers() -> None:
    model, x = Products().double(), torch.randn(2, 3, dtype=torch.float64)
    network = simplified(capture(model, x))
    names = operations(network)
    assert names.count("linear") == 3
    assert names.count("addmm") == 2  # two biases' worth, and one bias for each example
    assert names.count("matmul") + names.count("mm") == 2
    assert network.constants["a_t"].shape == (4, 3)
    assert_equal(network, model, x, tolerance=1e-9)


def test_what_depends_on_constants_alone_is_a_constant() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.ReLU()).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    network = simplified(capture(model, x))
    assert operations(network) == ["linear", "relu"]
    assert len(network.constants) == 2
    assert_equal(network, model, x, tolerance=1e-12)


class Positions(nn.Module):
    """Numbers that depend on nothing, and some that depend on the length."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.scale = nn.Embedding(9, 4), nn.Parameter(torch.randn(4))

    def forward(self, tokens: Tensor) -> Tensor:
        own = self.table(torch.arange(tokens.shape[1])) * self.scale.exp().cumsum(0)
        return self.table(tokens) + own + torch.tensor([1.0, 2.0, 3.0, 4.0])


def test_sizes_of_the_input_are_no_constants() -> None:
    model = Positions()
    network = simplified(capture(model, torch.zeros(2, 4, dtype=torch.long)))
    assert "cumsum" not in operations(network)
    for length in (1, 4, 7):
        assert_equal(network, model, torch.randint(0, 9, (3, length)), tolerance=1e-5)


def test_a_constant_output_is_returned() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, self.weight * 2

    network = simplified(capture(Constant(), torch.ones(2, 2)))
    first, second = network.runnable()(torch.zeros(2, 2))
    assert (first.tolist(), second.tolist()) == ([[1, 1], [1, 1]], [2, 2, 2])
    assert operations(network) == ["add"]


def test_constants_that_nothing_uses_are_gone() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            self.idle(x)
            return self.used(x)

    network = simplified(capture(Idle(), torch.ones(2, 2)))
    assert network.constants.keys() == {"used.weight", "used.bias"}


@settings(max_examples=2)
@given(seed=st.integers(0, 10**6))
def test_twice_is_as_once_and_the_given_network_stays(seed: int) -> None:
    torch.manual_seed(seed)
    norm = trained(nn.BatchNorm2d(4), seed)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    before = capture(model, torch.randn(2, 2, 4, 4))
    text, values = str(before.graph), {n: v.clone() for n, v in before.constants.items()}
    once = simplified(before)
    twice = simplified(once)
    assert str(once.graph) == str(twice.graph)
    assert all(torch.equal(v, twice.constants[n]) for n, v in once.constants.items())
    assert str(before.graph) == text
    assert all(torch.equal(v, before.constants[n]) for n, v in values.items())


def test_arguments_have_names_and_defaults_and_can_be_set_again() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.AvgPool2d(2, ceil_mode=True)).eval()
    x = torch.randn(2, 2, 9, 9)
    network = simplified(capture(model, x))
    calls = {n.target._opname: n for n in network.graph.nodes if n.op == "call_function"}
    conv, pool = arguments(calls["conv2d"]), arguments(calls["avg_pool2d"])
    assert (conv["stride"], conv["padding"], conv["groups"]) == ([2, 2], [0, 0], 1)
    assert (pool["ceil_mode"], pool["count_include_pad"]) == (True, True)
    set_arguments(calls["conv2d"], conv)
    set_arguments(calls["avg_pool2d"], pool)
    assert_equal(network, model, x, tolerance=1e-6)
    conv["stride"] = [1, 1]
    set_arguments(calls["conv2d"], conv)
    assert network.runnable()(x)[0].shape == (2, 4, 4, 4)
