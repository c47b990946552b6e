"""Multiply-adds against closed forms, the papers' numbers and a count position by position."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from winnow.models import build
from winnow.models.operations import multiply_adds, uses_of_weights


def cost(model: nn.Module, inputs: tuple[int, ...]) -> int:
    """Of the dense network."""
    uses = uses_of_weights(model, inputs)
    sizes = {name: weight.numel() for name, weight in model.named_parameters() if name in uses}
    return multiply_adds(sizes, uses)


def on_meta(name: str, inputs: tuple[int, int, int], classes: int) -> nn.Module:
    with torch.device("meta"):
        return build(name, inputs=inputs, classes=classes)


def test_linear_layers_cost_what_they_have_weights() -> None:
    model = on_meta("lenet-300-100", (1, 28, 28), 10)
    assert cost(model, (1, 28, 28)) == 784 * 300 + 300 * 100 + 100 * 10


@pytest.mark.parametrize(
    ("stride", "padding", "groups"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 0, 4)]
)
def test_a_convolution_costs_what_a_count_of_its_positions_says(
    stride: int, padding: int, groups: int
) -> None:
    layer = nn.Conv2d(4, 8, 3, stride=stride, padding=padding, groups=groups)
    height = (11 + 2 * padding - 3) // stride + 1
    width = (7 + 2 * padding - 3) // stride + 1
    positions = sum(1 for _ in range(height) for _ in range(width))
    assert uses_of_weights(layer, (4, 11, 7)) == {"weight": positions}
    assert cost(layer, (4, 11, 7)) == 8 * (4 // groups) * 9 * positions


def test_a_transposed_convolution_uses_its_weights_at_each_position_of_the_input() -> None:
    layer = nn.ConvTranspose2d(3, 5, 4, stride=2)
    assert uses_of_weights(layer, (3, 6, 7)) == {"weight": 42}


def test_a_linear_layer_on_a_sequence_and_a_layer_applied_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.inner(x))

    assert uses_of_weights(Twice(), (5, 3)) == {"inner.weight": 10}


def test_a_published_count() -> None:
    """ResNet-20 for CIFAR: 40.55 M multiply-adds in its convolutions and its head (He et al. 2016
    give its layers; with projections at the two shortcuts 0.26 M are added).
    """
    layers = 432 * 1024 + 6 * 2304 * 1024  # the first layer, the first stage
    layers += (4608 + 5 * 9216) * 256 + (18432 + 5 * 36864) * 64 + 640
    projections = 512 * 256 + 2048 * 64
    model = on_meta("resnet-20", (3, 32, 32), 10)
    found = cost(model, (3, 32, 32))
    assert found in (layers, layers + projections)


def test_the_model_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    uses_of_weights(model, (1, 4, 4))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_a_layer_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="other"):
        multiply_adds({"other.weight": 3}, {"weight": 1})
