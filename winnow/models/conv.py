"""Conv-2, Conv-4 and Conv-6: scaled-down VGG networks without batch normalisation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from winnow.errors import UserError

# Filters of the pairs of convolutions; a pool follows each pair.
_PAIRS = {"conv-2": (64,), "conv-4": (64, 128), "conv-6": (64, 128, 256)}
_HIDDEN = 256


class Conv(nn.Module):
    """Pairs of 3x3 convolutions, each pair with a 2x2 maximum pool, then three Linear layers.

    Frankle & Carbin 2019, figure 2. For CIFAR-10: 4.3 M, 2.4 M and 2,261,184 weights; the
    figure's 1.7 M for Conv-6 is a misprint. Dropout acts on both hidden Linear layers, after
    their ReLU (section 4.3 gives the rate 0.5 but not the place). ``width``: a factor on filters
    and hidden units, as mask searches in random networks vary it (Ramanujan et al. 2020, section
    4.2); rounded.
    """

    def __init__(
        self,
        inputs: tuple[int, int, int],
        pairs: Sequence[int],
        classes: int,
        dropout: float,
        width: float,
    ) -> None:
        super().__init__()
        channels, rows, columns = inputs
        filters, units = [_scaled(each, width) for each in pairs], _scaled(_HIDDEN, width)
        sizes = [channels, *(each for each in filters for _ in range(2))]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1)
            for before, after in itertools.pairwise(sizes)
        )
        factor = 2 ** len(pairs)
        features = filters[-1] * (rows // factor) * (columns // factor)
        self.hidden = nn.ModuleList([nn.Linear(features, units), nn.Linear(units, units)])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if index % 2 == 1:
                x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        for layer in self.hidden:
            x = self.dropout(F.relu(layer(x)))
        logits: torch.Tensor = self.output(x)
        return logits


def conv(
    name: str,
    inputs: tuple[int, int, int],
    classes: int,
    dropout: float = 0.0,
    width: float = 1.0,
) -> Conv:
    """Conv-2, Conv-4 or Conv-6; UserError when the image is too small for the pools."""
    pairs = _PAIRS[name]
    check_pools(name, inputs, len(pairs))
    return Conv(inputs, pairs, classes, dropout, width)


def _scaled(count: int, width: float) -> int:
    return max(1, round(width * count))


def check_pools(name: str, inputs: tuple[int, int, int], pools: int) -> None:
    """UserError when ``pools`` halvings leave nothing of an image of shape (C, H, W)."""
    least = 2**pools
    if min(inputs[1:]) < least:
        raise UserError(
            f"{name} halves the image {pools} times and needs at least {least}x{least} pixels; "
            f"the images are {inputs[1]}x{inputs[2]}. Take lenet-300-100 or larger images."
        )
