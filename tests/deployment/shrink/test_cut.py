"""Shrinking: equal outputs for random networks, and sizes that are known otherwise."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from masked_networks import Residual, drawn, mask
from torch import Tensor, nn

from winnow.deployment.capture import capture
from winnow.deployment.network import Network
from winnow.deployment.outputs import flat
from winnow.deployment.shrink import shrunk, sizes_of_layers
from winnow.deployment.simplify import simplified


def small(model: nn.Module, example: Tensor) -> Network:
    return shrunk(simplified(capture(model, example)))


def tensors(value: object) -> list[Tensor]:
    found: list[Tensor] = []
    flat(value, found)
    return found


def assert_equal(network: Network, model: nn.Module, given: Tensor, tolerance: float) -> None:
    with torch.no_grad():
        wanted, got = tensors(model.eval()(given)), network.runnable()(given)
    assert len(wanted) == len(got)
    for a, b in zip(wanted, got, strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().max()) <= tolerance * max(1.0, float(a.abs().max()))


def outputs_of(network: Network) -> dict[str, tuple[int, int]]:
    return {name: (size.outputs, size.inputs) for name, size in sizes_of_layers(network).items()}


def random_network(seed: int) -> None:
    model, example = drawn(seed)
    network = small(model, example)
    assert_equal(network, model, example, 1e-12)
    assert_equal(network, model, 3 * torch.randn(5, *example.shape[1:], dtype=example.dtype), 1e-12)
    once_more = shrunk(network)
    assert sizes_of_layers(once_more) == sizes_of_layers(network)


@settings(max_examples=3)
@given(seed=st.integers(0, 10**6))
def test_random_networks_give_what_they_gave(seed: int) -> None:
    random_network(seed)


@pytest.mark.slow
@settings(max_examples=150)
@given(seed=st.integers(0, 10**6))
def test_many_random_networks_give_what_they_gave(seed: int) -> None:
    random_network(seed)


@pytest.mark.parametrize("seed", [7])
def test_random_networks_in_float32_differ_by_rounding(seed: int) -> None:
    model, example = drawn(seed, torch.float32)
    assert_equal(small(model, example), model, example, 3e-5)


# ---- against a search by brute force: values for many inputs, gradients


class Chain(nn.Module):
    """Layers with a tanh between them: it is constant only where its argument is."""

    def __init__(self, layers: list[nn.Module], flatten_before: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.flatten_before = flatten_before

    def inside(self, x: Tensor) -> list[Tensor]:
        """What is between the layers."""
        found = []
        for i, layer in enumerate(self.layers):
            x = layer(x.flatten(1) if i == self.flatten_before else x)
            if i < len(self.layers) - 1:
                x = x.tanh()
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x)[-1]


def left_by_brute_force(model: Chain, given: Tensor) -> list[int]:
    """How many units between the layers differ for some input and change some output."""
    inside = model.inside(given)
    counts = []
    for values in inside[:-1]:
        (slopes,) = torch.autograd.grad(inside[-1].sum(), values, retain_graph=True)
        units = values.transpose(0, 1).flatten(1)
        differ = (units - units[:, :1]).abs().amax(1) > 0
        changes = slopes.transpose(0, 1).flatten(1).abs().amax(1) > 0
        counts.append(max(1, int((differ & changes).sum())))
    return counts


NEURONS = Chain([nn.Linear(a, b) for a, b in itertools.pairwise((9, 12, 10, 8, 3))], -1).double()
VALID = Chain(
    [nn.Conv2d(2, 7, 3), nn.Conv2d(7, 6, 3), nn.Linear(24, 5), nn.Linear(5, 2)], 2
).double()
PADDED = Chain(
    [nn.Conv2d(2, 7, 3, padding=1, bias=False), nn.Conv2d(7, 6, 3, padding=1, bias=False),
     nn.Linear(216, 5), nn.Linear(5, 2)], 2
).double()  # fmt: skip
"""With zeros around the images, only constants of 0 can go, and there are no others."""


@functools.cache
def captured(model: Chain, *shape: int) -> Network:
    return capture(model, torch.randn(3, *shape, dtype=torch.float64))


@pytest.mark.slow
@settings(max_examples=9)
@given(
    seed=st.integers(0, 10**6),
    chain=st.sampled_from(((NEURONS, (9,)), (VALID, (2, 6, 6)), (PADDED, (2, 6, 6)))),
    density=st.sampled_from((0.08, 0.15, 0.3)),
)
def test_nothing_that_brute_force_finds_is_left_in_a_chain(
    seed: int, chain: tuple[Chain, tuple[int, ...]], density: float
) -> None:
    model, shape = chain
    network = captured(model, *shape)
    generator = torch.Generator().manual_seed(seed)
    mask(model, density, generator)
    constants = {name: value.detach().clone() for name, value in model.state_dict().items()}
    example = torch.randn(40, *shape, dtype=torch.float64, generator=generator)
    after = shrunk(simplified(replace(network, constants=constants)))
    left, sizes = left_by_brute_force(model, example), outputs_of(after)
    assert [sizes[f"layers.{i}.weight"][0] for i in range(3)] == left
    assert_equal(after, model, example, 1e-12)


# ---- worked by hand


def with_weights(layer: nn.Module, weight: list[list[float]], bias: list[float] | None) -> None:
    with torch.no_grad():
        rows = torch.tensor(weight)
        own: Tensor = layer.weight  # type: ignore[assignment]
        own.copy_(rows.view(*rows.shape, *[1] * (own.dim() - 2)).expand_as(own))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))  # type: ignore[operator, union-attr]


def test_a_constant_neuron_is_part_of_the_next_bias() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    with_weights(first, [[1, 2], [0, 0], [3, 0]], [0.0, 5.0, 0.0])
    with_weights(second, [[1, 10, 0]], [0.5])
    network = small(nn.Sequential(first, nn.ReLU(), second), torch.randn(4, 2))
    values = {name: value.tolist() for name, value in network.constants.items()}
    assert values == {
        "0.weight": [[1, 2]], "0.bias": [0], "2.weight": [[1]], "2.bias": [50.5],
    }  # fmt: skip


def test_a_layer_without_a_bias_gets_one() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 1, bias=False)
    with_weights(first, [[1, 2], [0, 0]], [0.0, 5.0])
    with_weights(second, [[1, 10]], None)
    network = small(nn.Sequential(first, second), torch.randn(4, 2))
    assert network.constants["1.bias"].tolist() == [50]


def test_constants_are_added_in_float64_and_rounded_once() -> None:
    """In float32 each of the small ones would be lost beside 2²⁴."""
    first, second = nn.Linear(2, 9), nn.Linear(9, 1)
    with_weights(first, [[0, 0]] * 8 + [[1, 1]], [1.0] * 8 + [0.0])
    with_weights(second, [[1.0] * 9], [2.0**24])
    network = small(nn.Sequential(first, second), torch.randn(4, 2))
    assert network.constants["1.bias"].item() == 2.0**24 + 8


def test_a_relu_that_is_never_reached_is_zero() -> None:
    """Its neuron reads values of at least 0 with weights below 0, and has no bias."""
    first, second, third = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
    with_weights(first, [[1, 2], [3, 4]], [0.0, 0.0])
    with_weights(second, [[-1, -2], [1, -2]], [0.0, 1.0])
    with_weights(third, [[1, 1]], [0.0])
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
    network = small(model, torch.randn(4, 2))
    assert outputs_of(network)["2.weight"] == (1, 2)
    assert_equal(network, model, torch.randn(9, 2), 1e-6)


def test_constants_beside_a_padded_convolution_become_one() -> None:
    """At the border they are not constant: 1·w₁ + 2·w₂ + … = 4·(w₁/4 + w₂/2 + …)."""
    model = nn.Sequential(nn.Conv2d(1, 5, 1), nn.Conv2d(5, 2, 3, padding=1)).double()
    with_weights(model[0], [[1], [0], [0], [0], [0]], [0.0, 1.0, 2.0, 4.0, 0.0])
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {"0.weight": (2, 1), "1.weight": (2, 2)}
    assert network.constants["0.bias"].tolist() == [0, 4]
    assert_equal(network, model, x, 1e-14)


def test_without_padding_they_go() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 3, padding="valid")).double()
    with_weights(model[0], [[1], [0], [0], [0]], [0.0, 1.0, 2.0, 4.0])
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {"0.weight": (1, 1), "1.weight": (2, 1)}
    assert_equal(network, model, x, 1e-14)


def test_a_branch_that_is_constant_goes_as_a_whole() -> None:
    """What it adds is part of the bias of the convolution on the other side."""
    inside = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    with_weights(inside[2], [[0.0] * 8] * 4, [1.0, -1.0, 0.0, 2.0])
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Residual(inside, False), nn.ReLU(),
                          nn.Conv2d(4, 2, 1)).double()  # fmt: skip
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {"0.weight": (4, 3), "3.weight": (2, 4)}
    names = [node.target.__name__ for node in network.graph.nodes if node.op == "call_function"]
    assert names == ["conv2d.default", "relu.default", "conv2d.default"]
    assert_equal(network, model, x, 1e-14)


class Stream(nn.Module):
    """Two branches that write on one stream; one of them reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch = nn.Linear(3, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        return self.head(F.relu(stem + self.branch(stem).tanh()))


def test_a_channel_of_a_sum_stays_where_something_reads_one_side() -> None:
    """Channel 1 goes nowhere but into the branch; channel 2 is read by nothing and goes."""
    model = Stream().double()
    with torch.no_grad():
        model.head.weight[:, 1:3] = 0
        model.branch.weight[:, 2] = 0
    x = torch.randn(5, 3, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {
        "stem.weight": (3, 3), "branch.weight": (3, 3), "head.weight": (2, 3),
    }  # fmt: skip
    assert not network.constants["branch.weight"][1].any()  # nothing reads what it adds there
    assert_equal(network, model, x, 1e-14)


class Tied(nn.Module):
    """One layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer, self.head = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(self.layer(self.stem(x)).relu()).relu()
        return self.head(y)


def test_a_weight_that_is_used_twice_stays_whole() -> None:
    model = Tied().double()
    with torch.no_grad():
        model.layer.weight[2], model.head.weight[:, 1] = 0, 0
    x = torch.randn(5, 3, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network)["layer.weight"] == (4, 4)
    assert_equal(network, model, x, 1e-14)


def test_outputs_keep_their_shapes_if_nothing_depends_on_the_input() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[2].weight.zero_()
    x = torch.randn(5, 3, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {"0.weight": (1, 3), "2.weight": (2, 1)}
    assert_equal(network, model, x, 0)


class Tokens(nn.Module):
    """The neurons of a transformer's MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(20, 6), nn.LayerNorm(6)
        self.up, self.down, self.head = nn.Linear(6, 16), nn.Linear(16, 6), nn.Linear(6, 20)
        self.mix = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        y = self.norm(x)
        x = x + self.mix(y, y, y, need_weights=False)[0]
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        return self.head(x)


def test_hidden_neurons_of_a_transformer_go_and_its_stream_stays() -> None:
    model = Tokens().double()
    with torch.no_grad():
        model.up.weight[3:7], model.down.weight[:, 10:12] = 0, 0
        model.head.weight[:, 2] = 0
    tokens = torch.randint(0, 20, (2, 5))
    network = small(model, tokens)
    sizes = outputs_of(network)
    assert sizes["up.weight"] == (10, 6)
    assert sizes["down.weight"] == (6, 10)
    assert sizes["head.weight"] == (20, 6)
    assert_equal(network, model, tokens, 1e-13)
    assert_equal(network, model, torch.randint(0, 20, (3, 9)), 1e-13)


class Bag(nn.Module):
    """A mean of embeddings: their columns are neurons too."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(9, 5), nn.Linear(5, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.table(tokens).mean(1).relu())


def test_columns_of_an_embedding_go() -> None:
    model = Bag().double()
    with torch.no_grad():
        model.head.weight[:, 1], model.table.weight[:, 3] = 0, 2.0
    tokens = torch.randint(0, 9, (2, 4))
    network = small(model, tokens)
    assert network.constants["table.weight"].shape == (9, 3)
    assert_equal(network, model, tokens, 1e-14)


@pytest.mark.parametrize("dims", [1, 3])
def test_convolutions_of_all_dimensions(dims: int) -> None:
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    turned = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1]
    pool = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[dims - 1]
    model = nn.Sequential(conv(2, 6, 3, padding=1), norm(6), nn.ReLU(), pool(2),
                          turned(6, 5, 2, stride=2), nn.ReLU(), conv(5, 2, 1)).eval()  # fmt: skip
    mask(model, 0.4, torch.Generator().manual_seed(dims))
    with torch.no_grad():
        model[0].weight[1], model[1].bias[1] = 0, 1.0
        model[4].weight[:, 2], model[4].bias[2] = 0, 3.0
    model = model.double()
    x = torch.randn(2, 2, *[4] * dims, dtype=torch.float64)
    network = small(model, x)
    assert sizes_of_layers(network)["4.weight"].outputs < 5
    assert_equal(network, model, x, 1e-13)


def test_groups_go_as_a_whole() -> None:
    model = nn.Sequential(nn.Conv2d(2, 6, 1), nn.Conv2d(6, 9, 3, groups=3), nn.Conv2d(9, 2, 1))
    model = model.double()
    with torch.no_grad():
        model[2].weight[:, 3:6] = 0  # what the second group writes
        model[2].weight[:, 0] = 0  # a part of the first one
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {
        "0.weight": (4, 2), "1.weight": (6, 4), "2.weight": (2, 6),
    }  # fmt: skip
    assert_equal(network, model, x, 1e-14)


def test_a_fixed_batch_is_no_obstacle() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 1), nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).reshape(3, 16))

    model = Fixed().double()
    with torch.no_grad():
        model.conv.weight[1] = 0
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    network = small(model, x)
    assert outputs_of(network) == {"conv.weight": (3, 1), "head.weight": (2, 12)}
    assert_equal(network, model, x, 1e-14)


def test_the_given_network_stays_as_it_is() -> None:
    model, example = drawn(3)
    network = simplified(capture(model, example))
    before = {name: value.clone() for name, value in network.constants.items()}
    text = str(network.graph)
    shrunk(network)
    assert str(network.graph) == text
    assert {n: v.tolist() for n, v in before.items()} == {
        n: v.tolist() for n, v in network.constants.items()
    }
