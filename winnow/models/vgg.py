"""VGG-11, VGG-16 and VGG-19 in the form used for CIFAR."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from winnow.models.conv import check_pools

# Filters of the blocks of convolutions; a 2x2 maximum pool stands between blocks.
_BLOCKS = {
    "vgg-11": ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2),
    "vgg-16": ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg-19": ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}


class VGG(nn.Module):
    """3x3 convolutions with batch normalisation, an average pool, one Linear layer.

    Simonyan & Zisserman 2015, table 1 (A, D, E), in the form of Liu et al. 2019 that Frankle &
    Carbin 2019 (appendix I) train: VGG-19 has 20,018,880 convolutional weights and 5,120 output
    weights. The convolutions have no bias: the shift of the batch normalisation after them
    takes its place. The pool averages all that is left, so any image of 16 pixels or more fits.
    ``conv_bias``: they have one all the same, as in openLTH, whose torch draws its first values;
    here it starts at 0. What it adds, the batch normalisation takes away again.
    """

    def __init__(
        self,
        channels: int,
        blocks: Sequence[Sequence[int]],
        classes: int,
        conv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for block in blocks:
            sizes = [channels, *block]
            units = (_unit(*pair, conv_bias) for pair in itertools.pairwise(sizes))
            self.blocks.append(nn.ModuleList(units))
            channels = block[-1]
        self.output = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        for index, block in enumerate(self.blocks):
            if index > 0:
                x = F.max_pool2d(x, 2)
            for unit in block.children():
                x = F.relu(unit(x))
        logits: torch.Tensor = self.output(x.mean(dim=(2, 3)))
        return logits


def _unit(before: int, after: int, bias: bool) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


def vgg(
    name: str,
    inputs: tuple[int, int, int],
    classes: int,
    width: float = 1.0,
    conv_bias: bool = False,
) -> VGG:
    """VGG with ``width`` times the filters, rounded; UserError when the image is too small."""
    blocks = _BLOCKS[name]
    check_pools(name, inputs, len(blocks) - 1)
    scaled = [[max(1, round(width * filters)) for filters in block] for block in blocks]
    return VGG(inputs[0], scaled, classes, conv_bias)
