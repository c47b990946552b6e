"""LeNet-300-100: a fully connected network for small images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


class LeNet(nn.Module):
    """Hidden layers with ReLU, then the output layer.

    Frankle & Carbin 2019, figure 2: 300 and 100 units, 266,200 weights for MNIST. Any number of
    hidden layers of any sizes (the paper's appendix G.6 varies them).
    """

    def __init__(self, features: int, hidden: Sequence[int], classes: int) -> None:
        super().__init__()
        sizes = [features, *hidden]
        pairs = itertools.pairwise(sizes)
        self.hidden = nn.ModuleList(nn.Linear(size, units) for size, units in pairs)
        self.output = nn.Linear(sizes[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        logits: torch.Tensor = self.output(x)
        return logits


def lenet(
    name: str,  # noqa: ARG001  one signature for all families
    inputs: tuple[int, int, int],
    classes: int,
    hidden: Sequence[int] = (300, 100),
) -> LeNet:
    """LeNet for images of shape ``inputs`` = (C, H, W)."""
    return LeNet(math.prod(inputs), hidden, classes)
