"""Networks with batch norms in all the places that a graph treats otherwise."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TwoNorms(nn.Module):
    """The sum of two batch norms of one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])
        self.norms[1].weight.data.fill_(0.3)
        self.output = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.output(F.relu(self.norms[0](x) + self.norms[1](x)).mean((2, 3)))


class NormFirst(nn.Module):
    """Batch norm of the images, by which there is no gradient, with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.output = nn.Linear(3, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(F.relu(self.conv(self.norm(x))).mean((2, 3)))


class NormBeside(NormFirst):
    """The same, added to a convolution of the images."""

    def forward(self, x: Tensor) -> Tensor:
        return self.output(F.relu(self.norm(x) + self.conv(x)).mean((2, 3)))


class Late(nn.Module):
    """A sum whose summand is read by a convolution that comes after the other summand."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1, bias=False) for i in range(4)]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(4) for _ in range(3)])
        self.output = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.convs[0](x)))
        inner = F.relu(self.norms[1](self.convs[1](x)))
        inner = self.norms[2](self.convs[2](inner))
        beside = self.convs[3](x)
        return self.output((F.relu(inner + x) + beside).mean((2, 3)))


class Branches(nn.Module):
    """A norm's result that two convolutions read, one with a stride, and a sum of both's norms."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.start = nn.BatchNorm2d(4)
        self.ways = nn.ModuleList(
            [nn.Conv2d(4, 6, 3, 2, 1, bias=False), nn.Conv2d(4, 6, 1, 2, bias=False)]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
        self.output = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.start(self.first(x)))
        left, right = (norm(way(x)) for norm, way in zip(self.norms, self.ways, strict=True))
        return self.output(F.relu(left + right).mean((2, 3)))


NORMED = [TwoNorms, NormFirst, NormBeside, Late, Branches]
