"""Networks that users might bring: odd strides, residual sums, parts that only torch knows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Odd kernels, strides and paddings, a bare sum, an average pool, batch norm of features."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, (5, 3), stride=(1, 2), padding=(2, 0))
        self.second = nn.Conv2d(5, 5, 3, padding="same")
        self.norm = nn.BatchNorm2d(5, momentum=None)
        self.third = nn.Conv2d(5, 7, 2, stride=3, padding=1, bias=False)
        self.plain = nn.BatchNorm2d(7, affine=False)
        self.pool = nn.AvgPool2d(2, stride=1, padding=1)
        self.hidden = nn.Linear(7 * 4 * 3, 11)
        self.wide = nn.BatchNorm1d(11)
        self.output = nn.Linear(11, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, 8, 8) to logits (B, 10)."""
        x = F.relu(self.first(x))
        x = F.relu(x + self.second(x))
        y = self.third(self.norm(x))
        y = self.pool(F.relu(self.plain(y)))
        y = y.view(y.size(0), -1)
        logits: Tensor = self.output(torch.relu(self.wide(self.hidden(y))))
        return logits


class Mixed(nn.Module):
    """Kernels and torch in turns: GELU, group norm, a grouped convolution, gated channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.groups = nn.GroupNorm(2, 6)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.third = nn.Conv2d(6, 8, 1)
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)
        self.squeeze = nn.Linear(8, 8)
        self.output = nn.Linear(8 * 4 * 4, 10)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, 8, 8) to logits (B, 10)."""
        x = F.gelu(self.groups(self.first(x)))
        x = F.max_pool2d(F.silu(self.second(x), inplace=True) + x, 3, stride=2, padding=1)
        x = self.norm(self.third(x)) * self.scale
        gate = torch.sigmoid(self.squeeze(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        x = x * gate[:, :, None, None]
        logits: Tensor = self.output(self.drop(x.relu().flatten(1)))
        return logits


class Shared(nn.Module):
    """One convolution used twice, in a loop of residual sums."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.output = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, 10)."""
        x = self.first(x)
        for _ in range(2):
            x = x + F.relu(self.again(x))
        logits: Tensor = self.output(x.mean((-1, -2)))
        return logits


class PreActivation(nn.Module):
    """Batch norm and ReLU before the convolutions, on a sum that is used twice; a strided path."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.BatchNorm2d(6)])
        self.convs = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1)])
        self.path = nn.Conv2d(4, 6, 1, stride=2)
        self.output = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, 10)."""
        x = self.first(x)
        x = x + self.convs[0](F.relu(self.norms[0](x)))
        y = F.relu(self.norms[1](x))
        y = self.path(y) + self.convs[1](y)
        logits: Tensor = self.output(F.relu(self.norms[2](y)).mean((2, 3)))
        return logits


class Asking(nn.Module):
    """Decides by a number of its batch, which no recorded, compiled or batched network can give."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images of 16 pixels (B, 1, 4, 4) to logits (B, 10)."""
        x = x.flatten(1)
        logits: Tensor = self.linear(x if float(x.mean()) > 0 else -x)
        return logits


class Noisy(Asking):
    """Drops units without a module that tells of it."""

    def forward(self, x: Tensor) -> Tensor:
        """Images of 16 pixels (B, 1, 4, 4) to logits (B, 10)."""
        logits: Tensor = self.linear(F.dropout(x.flatten(1), 0.5))
        return logits
