"""ResNet-20 and ResNet-32 for CIFAR, with projection shortcuts."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_FILTERS = (16, 32, 64)  # of the three stages
_BLOCKS = {"resnet-20": 3, "resnet-32": 5}  # for each stage


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or 1x1 where the shape changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            projection = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, before, H, W) to (B, after, ceil(H / stride), ceil(W / stride))."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 convolution, three stages of blocks, an average pool, one Linear layer.

    He et al. 2016, section 4.2, with projection shortcuts (their option B) instead of padding
    (option A), as in Frankle & Carbin 2019: ``resnet-20`` is that paper's "Resnet-18", with
    270,896 weights of which 2,560 are in the shortcuts and 640 in the output. ``width`` 2 is
    the doubled ResNet-32 of Wang et al. 2020 (GraSP).
    """

    def __init__(self, channels: int, blocks: int, classes: int, width: float) -> None:
        super().__init__()
        filters = [max(1, round(width * stage)) for stage in _FILTERS]
        self.conv = nn.Conv2d(channels, filters[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters[0])
        self.blocks = nn.ModuleList()
        before = filters[0]
        for stage, after in enumerate(filters):
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                self.blocks.append(ResidualBlock(before, after, stride))
                before = after
        self.output = nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        x = F.relu(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.output(x.mean(dim=(2, 3)))
        return logits


def resnet(name: str, inputs: tuple[int, int, int], classes: int, width: float = 1.0) -> ResNet:
    """ResNet-20 or ResNet-32 with ``width`` times the filters, rounded."""
    return ResNet(inputs[0], _BLOCKS[name], classes, width)
