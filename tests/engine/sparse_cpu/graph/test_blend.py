"""Batch norms where they rarely are: two of one activation, and one of the images themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conformance import OPTIMIZERS, close, make_job, trained, training_data
from torch import Tensor, nn

from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.state import fresh_state


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


@pytest.mark.parametrize("network", [TwoNorms, NormFirst, NormBeside], ids=lambda n: n.__name__)
def test_trained_as_by_the_dense_engine(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    job = make_job(network, training_data((3, 8, 8)), optimizer=OPTIMIZERS[1])
    state = fresh_state(network())
    end = trained(SparseEngine(), job, state, 5)
    close(end, trained(DenseEngine("cpu"), job, state, 5))
    moved = [not torch.equal(end.weights[name], w) for name, w in state.weights.items()]
    assert all(moved)
