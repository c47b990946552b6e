"""ResNet-20 and ResNet-32 for CIFAR, with projection or padded shortcuts."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_FILTERS = (16, 32, 64)  # of the three stages
_BLOCKS = {"resnet-20": 3, "resnet-32": 5}  # for each stage


class PaddedShortcut(nn.Module):
    """Every ``stride``-th pixel, and ``added`` channels of zeros: no parameters.

    He et al. 2016, section 3.3, option A. The zeros are shared out before and after the channels,
    as in common code for CIFAR; as channels are drawn alike, their places decide nothing.
    """

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.padding = (0, 0, 0, 0, added // 2, added - added // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C + added, ceil(H / stride), ceil(W / stride))."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], self.padding)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or another where the shape changes: a
    1x1 convolution with batch normalisation, or zeros (``padded``).
    """

    def __init__(self, before: int, after: int, stride: int, shortcut: str = "projection") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Sequential()
        if stride == 1 and before == after:
            return
        if shortcut == "padded":
            self.shortcut = PaddedShortcut(after - before, stride)
        else:
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
    the doubled ResNet-32 of Wang et al. 2020 (GraSP). ``shortcut``: ``padded`` for option A, as
    in the code of Zhang et al. 2021 (lottery jackpots).
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        classes: int,
        width: float,
        shortcut: str = "projection",
    ) -> None:
        super().__init__()
        filters = [max(1, round(width * stage)) for stage in _FILTERS]
        self.conv = nn.Conv2d(channels, filters[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters[0])
        self.blocks = nn.ModuleList()
        before = filters[0]
        for stage, after in enumerate(filters):
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                self.blocks.append(ResidualBlock(before, after, stride, shortcut))
                before = after
        self.output = nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, classes)."""
        x = F.relu(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.output(x.mean(dim=(2, 3)))
        return logits


def resnet(
    name: str,
    inputs: tuple[int, int, int],
    classes: int,
    width: float = 1.0,
    shortcut: str = "projection",
) -> ResNet:
    """ResNet-20 or ResNet-32 with ``width`` times the filters, rounded."""
    return ResNet(inputs[0], _BLOCKS[name], classes, width, shortcut)
