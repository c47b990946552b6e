"""Networks of a few weights, masks and images for tests of analyses."""

from __future__ import annotations

import torch
from torch import nn

from winnow.mask import Mask
from winnow.models import build


class Normed(nn.Module):
    """A convolution, batch norm, ReLU, an average pool and a Linear layer: 3 classes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.output = nn.Linear(4, 3)

    def forward(self, x):
        return self.output(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def normed(seed=0):
    torch.manual_seed(seed)
    return Normed()


def lenet(seed=0, hidden=(6, 5)):
    torch.manual_seed(seed)
    return build("lenet-300-100", inputs=(1, 4, 4), classes=3, hidden=hidden)


def images(count=10, size=4, classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, size, size, generator=generator)
    return x, torch.randint(classes, (count,), generator=generator)


def half(model, seed=2):
    """A mask of about half of the Linear and convolutional weights."""
    generator = torch.Generator().manual_seed(seed)
    named = {n: w for n, w in model.named_parameters() if w.ndim > 1}
    return Mask({n: torch.rand(w.shape, generator=generator) < 0.5 for n, w in named.items()})
