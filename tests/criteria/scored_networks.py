"""Small float64 networks and data that the tests of criteria share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double()


def convolutional(normal: bool = True) -> nn.Module:
    """For images (B, 2, 8, 8): strides, groups, padding, both kinds of batch norm."""
    network = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, stride=2),
            nn.BatchNorm2d(4) if normal else nn.Identity(),
            nn.Tanh(),
            nn.Conv2d(4, 6, 3, groups=2, bias=False),
            nn.BatchNorm2d(6, affine=False) if normal else nn.Identity(),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(6 * 4, 3),
        )
    )
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.weight, module.bias):
                if tensor is not None:
                    tensor.data.copy_(torch.randn(len(tensor), generator=generator))
            assert module.running_var is not None
            module.running_var.copy_(torch.rand(len(module.running_var), generator=generator) + 0.5)
    return network


def perceptron(inputs: int = 4, hidden: int = 5, classes: int = 3) -> nn.Module:
    return seeded(
        lambda: nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, classes))
    )


def data(*shape: int, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs of this shape in float64, and labels."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, torch.arange(shape[0]) % classes


class Tied(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.inner = nn.Embedding(7, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.inner(self.embedding(x).mean(1))))
